"""What an operator does from day to day, with the shipped playbooks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "hello"


def limit(app):
    """Return the options that restrict a playbook to *app*: the inventory's names are <machine>-<app>."""
    return "--limit", f"{app.machine.removeprefix('asgi-default-')}-{app.name}"


def workers(app):
    master = app.property_of(app.service(app.live), "MainPID")
    return set(app.host.check_output(f"cat /proc/{master}/task/{master}/children").split())


def live(app):
    return (
        app.live,
        app.json("/")["release"],
        app.host.check_output(f"readlink /srv/{app.name}/slots/{app.live}/config"),
    )


def test_status_tells_what_runs(app, playbook, tmp_path):
    status, said = playbook(
        "status", *limit(app), asgi_status_format="json", asgi_status_file=str(tmp_path / "status.json")
    )

    assert status == 0, said
    [found] = json.loads((tmp_path / "status.json").read_text())["apps"]
    assert found["name"] == app.name
    assert found["slot"] == app.live
    assert found["state"] == "active"
    assert found["workers"] == app.variables["asgi_server_workers"]
    assert found["certificate_days"] > 30
    assert found["packages"]["gunicorn"]


def test_status_is_readable(hello, playbook):
    status, said = playbook("status", *limit(hello))

    assert status == 0, said
    assert "certificate" in said
    assert f"hello  {hello.live}" in said


def test_reload_replaces_every_worker_in_place(hello, playbook):
    before, slot = workers(hello), hello.live

    status, said = playbook("reload", *limit(hello))

    assert status == 0, said
    assert hello.live == slot
    assert len(workers(hello)) == len(before)
    assert not workers(hello) & before
    assert hello.ask("/health").status == 200


@pytest.fixture
def command_lines(one_hello):
    """Record the command lines of all processes of the machine while the test runs; call it for the record."""
    loop = (
        "while sleep 0.02; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; echo; done >/var/tmp/command-lines"
    )
    one_hello.host.check_output("systemd-run --quiet --unit=watch sh -c %s", loop)
    yield lambda: one_hello.host.file("/var/tmp/command-lines").content_string
    one_hello.host.check_output("systemctl stop watch.service")


def test_a_deploy_shows_no_secret(one_hello, playbook, command_lines):
    secret = "s3cret-of-this-test"

    status, said = playbook(
        "deploy", *limit(one_hello), "--diff", "-vvv", asgi_env={"HELLO_TOKEN": secret, "STAGE": "live"}
    )

    assert status == 0, said
    # the controller's own command line is the only place: this test has typed it
    assert secret not in said.replace(f'"HELLO_TOKEN": "{secret}"', "")
    assert "HELLO_TOKEN (hidden, new)" in said
    assert "flip to" in said, "no word is masked because it is the value of some variable"
    record = command_lines()
    assert "gunicorn.conf.py" in record
    assert secret not in record
    assert secret not in one_hello.journal()


def test_a_change_of_configuration_and_back(hello, playbook):
    before, message = live(hello), hello.json("/")["message"]

    status, said = playbook("deploy", *limit(hello), asgi_env={"HELLO_GREETING": "Good evening"})

    assert status == 0, said
    assert hello.json("/")["message"] == "Good evening from FastAPI"
    assert live(hello)[0] != before[0], "it goes through the other slot"

    status, said = playbook("rollback", *limit(hello))

    assert status == 0, said
    assert live(hello) == before
    assert hello.json("/")["message"] == message

    status, said = playbook("rollback", *limit(hello))

    assert status == 0, said
    assert live(hello) == before, "a rollback that is repeated does not go further, or forward again"


def test_a_change_of_code_and_back_by_name(hello, playbook, tmp_path):
    slot, release, _config = live(hello)
    before = hello.counted("/whoami")
    for _time in range(10):
        hello.ask("/whoami")
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text().replace("from FastAPI", "from the next release"))

    status, said = playbook("deploy", *limit(hello), asgi_app_source={"path": str(code)})

    assert status == 0, said
    assert hello.json("/")["message"] == "Good day from the next release"
    for _time in range(10):
        hello.ask("/whoami")
    after = hello.counted("/whoami")
    assert after[hello.live, hello.json("/")["release"]] == 10
    assert after[slot, release] == before[slot, release] + 10, "what the former slot has counted stays"

    status, said = playbook("rollback", *limit(hello), asgi_rollback_release=release)

    assert status == 0, said
    assert live(hello)[:2] == (slot, release)


# what is wrong with the release -> what the error must show
BAD_RELEASES = {
    "lifespan fails": (
        "    app.state.greeting =",
        "    raise RuntimeError('no database')\n    app.state.greeting =",
        "no database",
    ),
    "health is 500": ('return {"status": "ok"}', "raise RuntimeError('not well')", "answered 'HTTP 500"),
}


@pytest.mark.parametrize("fault", BAD_RELEASES)
def test_a_bad_release_never_takes_traffic(one_hello, playbook, tmp_path, fault):
    good, bad, shown = BAD_RELEASES[fault]
    before = live(one_hello)
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    text = (code / "main.py").read_text()
    assert good in text
    (code / "main.py").write_text(text.replace(good, bad, 1))

    status, said = playbook(
        "deploy", *limit(one_hello), asgi_app_source={"path": str(code)}, asgi_server_probe_deadline=3
    )

    assert status != 0
    assert shown in said
    assert f"release {before[1]} goes on serving in slot {before[0]}" in said
    assert live(one_hello) == before
    assert not one_hello.host.service(one_hello.service(one_hello.idle)).is_running
    log = json.loads(one_hello.host.file("/srv/hello/releases.json").content)
    assert log[-1]["result"] == "bad"


def test_a_site_that_nginx_refuses_takes_no_effect(one_hello, playbook):
    """Somebody else's file is broken: nothing of ours may be written, nginx goes on with what it has."""
    site = one_hello.host.file("/etc/nginx/conf.d/asgi-hello.conf")
    before = site.content_string
    one_hello.host.check_output("echo nonsense >/etc/nginx/conf.d/zz-broken.conf")
    try:
        status, said = playbook("site", *limit(one_hello), asgi_proxy_body_size="11m")
    finally:
        one_hello.host.check_output("rm /etc/nginx/conf.d/zz-broken.conf")

    assert status != 0
    assert "nginx refuses this" in said
    assert "zz-broken.conf" in said
    assert site.content_string == before
    assert one_hello.ask("/health").status == 200


@pytest.fixture
def hook(tmp_path):
    """Write a hook: tasks that run a command on the machine."""

    def write(command):
        path = tmp_path / "hook.yml"
        path.write_text(json.dumps([{"name": "Do what is wanted", "ansible.builtin.command": command}]))
        return str(path)

    return write


@pytest.mark.parametrize("when", ["asgi_server_hook_before", "asgi_server_hook_after"])
def test_a_hook_finds_the_release_in_its_slot(one_hello, playbook, hook, when):
    expected = one_hello.idle
    script = (
        "import http.client, socket; s = socket.socket(socket.AF_UNIX); s.connect('{{ asgi_release.socket }}'); "
        "c = http.client.HTTPConnection('x'); c.sock = s; c.request('GET', '/'); "
        "open('/var/tmp/hook-{{ asgi_release.slot }}', 'wb').write(c.getresponse().read())"
    )
    command = {"argv": ["{{ asgi_release.python }}", "-c", script]}

    status, said = playbook("deploy", *limit(one_hello), asgi_env={"HELLO_GREETING": when}, **{when: hook(command)})

    assert status == 0, said
    assert one_hello.live == expected
    assert f"{when} from FastAPI" in one_hello.host.file(f"/var/tmp/hook-{expected}").content_string


@pytest.mark.parametrize("when", ["asgi_app_hook_staged", "asgi_server_hook_before", "asgi_server_hook_after"])
def test_a_hook_that_fails_stops_the_deploy(one_hello, playbook, hook, tmp_path, when):
    before = live(one_hello)
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text() + f"# {when}\n")

    status, said = playbook(
        "deploy", *limit(one_hello), asgi_app_source={"path": str(code)}, **{when: hook({"argv": ["/bin/false"]})}
    )

    assert status != 0
    assert "Do what is wanted" in said
    assert live(one_hello)[1:] == before[1:]
    assert one_hello.json("/")["release"] == before[1]
    assert not one_hello.host.service(one_hello.service(one_hello.idle)).is_running


def test_a_staging_hook_runs_once_for_each_app_and_not_for_a_live_release(playbook, tmp_path):
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text() + "# once\n")
    notes = tmp_path / "notes"
    hook = tmp_path / "hook.yml"
    command = {"cmd": f"echo {{{{ asgi_name }}}} >>{notes}"}
    hook.write_text(
        json.dumps(
            [{"name": "Take a note", "ansible.builtin.shell": command, "delegate_to": "localhost", "become": False}]
        )
    )
    options = {"asgi_app_source": {"path": str(code)}, "asgi_app_hook_staged": str(hook)}

    for _time in range(2):
        status, said = playbook("deploy", "--limit", "hello", **options)
        assert status == 0, said

    assert notes.read_text().splitlines() == ["hello"]


def test_the_next_run_makes_the_machines_what_the_inventory_says(app, playbook):
    status, said = playbook("site", *limit(app))

    assert status == 0, said
    assert app.ask(app.probe_path).status == 200


def test_no_machine_is_left_with_a_release_of_these_tests(hello):
    assert hello.json("/")["message"] == "Good day from FastAPI"
    assert hello.host.check_output("readlink /srv/hello/staged") == hello.host.check_output(
        "readlink /srv/hello/current"
    )
