"""Everyday operations with the shipped playbooks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from receiver import receiving

EXAMPLE = Path(__file__).parents[3] / "examples" / "hello"


def live(app):
    return (
        app.live,
        app.json("/")["release"],
        app.host.check_output(f"readlink /srv/{app.name}/slots/{app.live}/config"),
    )


def test_status_reports_the_live_release(app, playbook, tmp_path):
    playbook.succeeds("status", *app.limit, asgi_status_format="json", asgi_status_file=str(tmp_path / "status.json"))

    [reported] = json.loads((tmp_path / "status.json").read_text())["apps"]
    assert reported["name"] == app.name
    assert reported["slot"] == app.live
    assert reported["state"] == "active"
    assert reported["workers"] == app.variables["asgi_server_workers"]
    assert reported["certificate_days"] > 30
    assert reported["packages"]["gunicorn"]


def test_status_is_readable(hello, playbook):
    output = playbook.succeeds("status", *hello.limit)

    assert "certificate" in output
    assert f"hello  {hello.live}" in output


def test_reload_replaces_all_workers_in_place(hello, playbook):
    before, slot = hello.workers, hello.live

    playbook.succeeds("reload", *hello.limit)

    assert hello.live == slot
    assert len(hello.workers) == len(before)
    assert not hello.workers & before
    assert hello.ask("/health").status == 200


@pytest.fixture
def command_lines(one_hello):
    """Record the command lines of all processes of the machine during the test. Return a function that returns them."""
    loop = (
        "while sleep 0.02; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; echo; done >/var/tmp/command-lines"
    )
    one_hello.host.check_output("systemd-run --quiet --unit=watch sh -c %s", loop)
    yield lambda: one_hello.host.file("/var/tmp/command-lines").content_string
    one_hello.host.check_output("systemctl stop watch.service")


def test_deploy_discloses_no_secret(one_hello, playbook, command_lines):
    secret = "s3cret-of-this-test"

    output = playbook.succeeds(
        "deploy", *one_hello.limit, "--diff", "-vvv", asgi_env={"HELLO_TOKEN": secret, "STAGE": "live"}
    )

    # It may only occur in the command line of this test on the controller.
    assert secret not in output.replace(f'"HELLO_TOKEN": "{secret}"', "")
    assert "HELLO_TOKEN (hidden, new)" in output
    assert "switch traffic to" in output, "a word was masked because it is the value of a variable"
    record = command_lines()
    assert "gunicorn.conf.py" in record
    assert secret not in record
    assert secret not in one_hello.journal()


def test_configuration_change_and_rollback(hello, playbook):
    before, message = live(hello), hello.json("/")["message"]

    playbook.succeeds("deploy", *hello.limit, asgi_env={"HELLO_GREETING": "Good evening"})

    assert hello.json("/")["message"] == "Good evening from FastAPI"
    assert live(hello)[0] != before[0], "the change must use the other slot"

    playbook.succeeds("rollback", *hello.limit)

    assert live(hello) == before
    assert hello.json("/")["message"] == message

    playbook.succeeds("rollback", *hello.limit)

    assert live(hello) == before, "a repeated rollback must not change the release"


def test_code_change_and_rollback_by_name(hello, playbook, tmp_path):
    slot, release, _config = live(hello)
    before = hello.counted("/whoami")
    for _time in range(10):
        hello.ask("/whoami")
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text().replace("from FastAPI", "from the next release"))

    playbook.succeeds("deploy", *hello.limit, asgi_app_source={"path": str(code)})

    assert hello.json("/")["message"] == "Good day from the next release"
    for _time in range(10):
        hello.ask("/whoami")
    after = hello.counted("/whoami")
    assert after[hello.live, hello.json("/")["release"]] == 10
    assert after[slot, release] == before[slot, release] + 10, "the counter of the previous slot must remain"

    playbook.succeeds("rollback", *hello.limit, asgi_rollback_release=release)

    assert live(hello)[:2] == (slot, release)


# fault -> original code, broken code, words of the message
BROKEN_RELEASES = {
    "lifespan fails": (
        "    app.state.greeting =",
        "    raise RuntimeError('no database')\n    app.state.greeting =",
        "no database",
    ),
    "health is 500": ('return {"status": "ok"}', "raise RuntimeError('not well')", "answered 'HTTP 500"),
}


@pytest.mark.parametrize("fault", BROKEN_RELEASES)
def test_broken_release_never_receives_traffic(one_hello, playbook, tmp_path, fault):
    original, broken, expected = BROKEN_RELEASES[fault]
    before = live(one_hello)
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    text = (code / "main.py").read_text()
    assert original in text
    (code / "main.py").write_text(text.replace(original, broken, 1))

    output = playbook.fails(
        "deploy", *one_hello.limit, asgi_app_source={"path": str(code)}, asgi_server_probe_deadline=3
    )

    assert expected in output
    assert f"release {before[1]} keeps serving in slot {before[0]}" in output
    assert live(one_hello) == before
    assert not one_hello.host.service(one_hello.service(one_hello.idle)).is_running
    log = json.loads(one_hello.host.file("/srv/hello/releases.json").content)
    assert log[-1]["result"] == "bad"


def test_invalid_foreign_configuration_leaves_the_site_unchanged(one_hello, playbook):
    """If a foreign file is invalid, the site is not written, and nginx keeps its configuration."""
    site = one_hello.host.file("/etc/nginx/conf.d/asgi-hello.conf")
    before = site.content_string
    one_hello.host.check_output("echo nonsense >/etc/nginx/conf.d/zz-broken.conf")
    try:
        status, output = playbook("site", *one_hello.limit, asgi_proxy_body_size="11m")
    finally:
        one_hello.host.check_output("rm /etc/nginx/conf.d/zz-broken.conf")

    assert status != 0
    assert "nginx rejects the configuration" in output
    assert "zz-broken.conf" in output
    assert site.content_string == before
    assert one_hello.ask("/health").status == 200


@pytest.fixture
def hook(tmp_path):
    """Return a function that writes a hook with a command."""

    def write(command):
        path = tmp_path / "hook.yml"
        path.write_text(json.dumps([{"name": "Run the command of the test", "ansible.builtin.command": command}]))
        return str(path)

    return write


@pytest.mark.parametrize("when", ["asgi_server_hook_before", "asgi_server_hook_after"])
def test_hook_receives_the_release_and_its_slot(one_hello, playbook, hook, when):
    expected = one_hello.idle
    script = (
        "import http.client, socket; s = socket.socket(socket.AF_UNIX); s.connect('{{ asgi_release.socket }}'); "
        "c = http.client.HTTPConnection('x'); c.sock = s; c.request('GET', '/'); "
        "open('/var/tmp/hook-{{ asgi_release.slot }}', 'wb').write(c.getresponse().read())"
    )
    command = {"argv": ["{{ asgi_release.python }}", "-c", script]}

    playbook.succeeds("deploy", *one_hello.limit, asgi_env={"HELLO_GREETING": when}, **{when: hook(command)})

    assert one_hello.live == expected
    assert f"{when} from FastAPI" in one_hello.host.file(f"/var/tmp/hook-{expected}").content_string


@pytest.mark.parametrize("when", ["asgi_app_hook_staged", "asgi_server_hook_before", "asgi_server_hook_after"])
def test_failed_hook_stops_the_deploy(one_hello, playbook, hook, tmp_path, when):
    before = live(one_hello)
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text() + f"# {when}\n")

    output = playbook.fails(
        "deploy", *one_hello.limit, asgi_app_source={"path": str(code)}, **{when: hook({"argv": ["/bin/false"]})}
    )

    assert "Run the command of the test" in output
    assert live(one_hello)[1:] == before[1:]
    assert one_hello.json("/")["release"] == before[1]
    assert not one_hello.host.service(one_hello.service(one_hello.idle)).is_running


def test_migration_runs_once_per_release_in_the_environment_of_the_app(one_hello, playbook, tmp_path):
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text() + "# migrated\n")
    record = one_hello.host.file("/srv/hello/shared/migrated")
    script = f"import os; print(os.environ['HELLO_GREETING'], os.getcwd(), file=open('{record.path}', 'a'))"
    options = {"asgi_app_source": {"path": str(code)}, "asgi_app_migrate": ["python", "-c", script]}

    for _time in range(2):
        playbook.succeeds("deploy", *one_hello.limit, **options)

    release = one_hello.json("/")["release"]
    try:
        assert record.content_string == f"Good day /srv/hello/releases/{release}/code\n"
        assert record.user == "hello"
    finally:
        one_hello.host.check_output(f"rm -f {record.path}")


def test_failed_migration_stops_the_deploy_before_the_release_boots(one_hello, playbook, tmp_path):
    before = live(one_hello)
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text() + "# not migrated\n")
    script = "import os; print(os.environ['HELLO_SECRET']); raise RuntimeError('relation items is missing')"

    output = playbook.fails(
        "deploy",
        *one_hello.limit,
        asgi_app_source={"path": str(code)},
        asgi_app_migrate=["python", "-c", script],
    )

    assert "was staged, but not activated on any host: asgi_app_migrate failed: python ended with status 1" in output
    assert "RuntimeError: relation items is missing" in output
    assert "not-for-other-eyes" not in output
    assert live(one_hello) == before
    assert not one_hello.host.service(one_hello.service(one_hello.idle)).is_running


def test_changes_are_in_the_journal_and_sent_to_the_webhook(one_hello, playbook):
    _slot, before, _config = live(one_hello)
    changed = {"asgi_env": {"HELLO_GREETING": "Marked"}}
    with receiving() as webhook:
        options = {"asgi_deploy_notify_url": webhook.url, "asgi_deploy_notify_headers": {"X-Token": "s3cret-token"}}
        webhook.statuses[:] = [503]  # the second attempt succeeds
        playbook.succeeds("deploy", *one_hello.limit, **options, **changed)
        playbook.succeeds("deploy", *one_hello.limit, **options, **changed)
        playbook.fails(
            "deploy", *one_hello.limit, **options, asgi_server_probe_path="/nowhere", asgi_server_probe_deadline=2
        )
        playbook.succeeds("reload", *one_hello.limit, **options)
        webhook.statuses[:] = [403]
        output = playbook.succeeds("rollback", *one_hello.limit, **options)
    sent = [request.json for request in webhook.requests[1:]]

    expected = [("deploy", "succeeded"), ("deploy", "failed"), ("reload", "succeeded"), ("rollback", "succeeded")]
    assert [(each["what"], each["result"]) for each in sent] == expected
    assert sent[0]["from"] == sent[3]["to"] == before
    assert "GET /nowhere" in sent[1]["reason"]
    assert {request.headers["X-Token"] for request in webhook.requests} == {"s3cret-token"}
    assert "was not delivered to asgi_deploy_notify_url: it answered HTTP 403" in output
    lines = one_hello.journal("--identifier=hello-deploy --lines=4").splitlines()
    markers = [json.loads(line) for line in lines]
    assert [(each["what"], each["result"]) for each in markers] == expected
    for key in ("from", "to", "reason"):
        assert [each[key] for each in markers] == [each[key] for each in sent]
    assert markers[0]["from_config"] != markers[0]["to_config"]
    assert markers[3]["to_config"] == markers[0]["from_config"]
    assert all(each["duration_seconds"] > 0 for each in markers)


def test_staging_hook_runs_once_per_app_and_not_for_a_live_release(playbook, tmp_path):
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "main.py").write_text((code / "main.py").read_text() + "# once\n")
    record = tmp_path / "record"
    hook = tmp_path / "hook.yml"
    command = {"cmd": f"echo {{{{ asgi_name }}}} >>{record}"}
    hook.write_text(
        json.dumps(
            [{"name": "Record the app", "ansible.builtin.shell": command, "delegate_to": "localhost", "become": False}]
        )
    )
    options = {"asgi_app_source": {"path": str(code)}, "asgi_app_hook_staged": str(hook)}

    for _time in range(2):
        playbook.succeeds("deploy", "--limit", "hello", **options)

    assert record.read_text().splitlines() == ["hello"]


def test_next_run_restores_the_inventory(app, playbook):
    playbook.succeeds("site", *app.limit)

    assert app.ask(app.probe_path).status == 200


def test_no_release_of_these_tests_remains(hello):
    assert hello.json("/")["message"] == "Good day from FastAPI"
    assert hello.host.check_output("readlink /srv/hello/staged") == hello.host.check_output(
        "readlink /srv/hello/current"
    )
