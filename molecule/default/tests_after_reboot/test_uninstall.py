"""The uninstall of one app after the other: nothing unexpected remains, and the other app is not affected.

The tests depend on each other, in this order.
"""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest
from scenario import Visitors

EVERYTHING = {
    "asgi_app_uninstall_data": True,
    "asgi_proxy_uninstall_certificates": True,
    "asgi_proxy_uninstall_logs": True,
}

# All places with paths named after an app; of /srv, only the top level.
TRACES = r"""
find /etc /opt /run /srv /tmp /usr/local /var -xdev \( -path '/srv/*/*' -o -path '/var/cache/asgi/*/*/*' \) -prune \
    -o -name '*APP*' -not -path '/var/tmp/*-release.json' -not -path '/var/tmp/hook-*' -print
grep -ls '^_\?APP:' /etc/passwd /etc/group /etc/shadow
systemctl list-units --all --no-legend 'APP@*'
"""
KEPT = {"/srv/hello", "/etc/asgi/hello", "/var/log/nginx/hello.access.log", "/var/log/nginx/hello.error.log"}

# The state of the other app: owner, mode and modification time of files and links, and processes.
FINGERPRINT = r"""
find /srv/titiler /run/titiler /etc/asgi/titiler /etc/nginx /etc/systemd/system/titiler@* /etc/tmpfiles.d/asgi-titiler.conf \
    -not -type d -not -name 'asgi-hello.conf' -not -name '*.pyc' -printf '%p %y %m %u %g %T@ %l\n' | sort
systemctl show --property=Id,MainPID,ActiveEnterTimestamp,NRestarts titiler@blue.service titiler@green.service
"""


def traces(app):
    return set(app.host.run(TRACES.replace("APP", app.name)).stdout.splitlines())


def recap(output):
    return set(re.findall(r"changed=(\d+) +unreachable=\d+ +failed=(\d+)", output))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "asgi_uninstall is not set"),
        ({"asgi_uninstall": "titiler"}, "asgi_uninstall is 'titiler', but asgi_name is 'hello'"),
        ({"asgi_uninstall": "hello", "asgi_app_uninstall_data": "yes"}, "asgi_app_uninstall_data is the string 'yes'"),
    ],
)
def test_unconfirmed_uninstall_fails(one_hello, playbook, variables, expected):
    before = traces(one_hello)
    output = playbook.fails("uninstall", "--limit", "hello", **variables)
    assert expected in output
    assert traces(one_hello) == before


def test_uninstall_fails_during_a_deploy(one_hello, playbook):
    before = traces(one_hello)
    one_hello.host.check_output("systemd-run --quiet --unit=deployer flock /srv/hello/.lock sleep 300")
    try:
        status, output = playbook("uninstall", "--limit", "hello", asgi_uninstall="hello")
    finally:
        one_hello.host.check_output("systemctl stop deployer.service")
    assert status != 0
    assert "hello is being changed" in output
    assert traces(one_hello) == before
    assert one_hello.ask("/health").status == 200


def test_check_mode_reports_the_paths_to_remove(one_hello, playbook):
    before = traces(one_hello)
    output = playbook.succeeds(
        "uninstall", "--limit", "hello", "--check", "--diff", asgi_uninstall="hello", **EVERYTHING
    )
    for path in ("/etc/nginx/conf.d/asgi-hello.conf", "/etc/systemd/system/hello@.service", "/srv/hello/shared"):
        assert path in output
    assert traces(one_hello) == before
    assert one_hello.ask("/health").status == 200


def test_uninstall_does_not_affect_the_other_app(hellos, titilers, playbook, capsys):
    for app in hellos:
        app.host.check_output("install --owner=hello --group=hello --mode=0600 /dev/null /srv/hello/shared/picture")
    before = [app.host.check_output(FINGERPRINT) for app in titilers]

    with ExitStack() as stack:
        visits = [
            stack.enter_context(Visitors(lambda app=app: app.ask(app.probe_path).status, pause=0.05))
            for app in titilers
        ]
        playbook.succeeds("uninstall", "--limit", "hello", asgi_uninstall="hello")

    answers = [answer for visitors in visits for answer in (*visitors.statuses, *visitors.errors)]
    with capsys.disabled():
        print(f"\nuninstall of hello: titiler answered {answers.count(200)} of {len(answers)}")
    assert len(answers) > 20
    assert set(answers) == {200}
    assert [app.host.check_output(FINGERPRINT) for app in titilers] == before
    for app in hellos:
        assert traces(app) == KEPT
        with pytest.raises(OSError):
            app.ask("/health")
    status, output = playbook("uninstall", "--limit", "hello", asgi_uninstall="hello")
    assert (status, recap(output)) == (0, {("0", "0")}), output


def test_remaining_data_is_inaccessible_and_returns_to_the_app(hellos, playbook):
    for app in hellos:
        owner = app.host.check_output("stat --format=%u /srv/hello/shared/picture")
        # The next account could get the same user id.
        app.host.check_output(f"useradd --system --uid {owner} next")
        assert app.host.run("runuser -u next -- cat /srv/hello/shared/picture").rc != 0

    playbook.succeeds("site", "--limit", "hello")

    for app in hellos:
        assert app.json("/")["message"] == "Good day from FastAPI"
        assert app.host.check_output("stat --format='%U %G %a' /srv/hello/shared/picture") == "hello hello 600"
        assert app.host.run("runuser -u next -- cat /srv/hello/shared/picture").rc != 0


def test_complete_uninstall_leaves_nothing(hellos, playbook):
    playbook.succeeds("uninstall", "--limit", "hello", asgi_uninstall="hello", **EVERYTHING)
    for app in hellos:
        assert traces(app) == set()


def test_uninstall_of_the_last_app_removes_shared_files(titilers, playbook):
    playbook.succeeds("uninstall", "--limit", "titiler", asgi_uninstall="titiler", **EVERYTHING)
    for app in titilers:
        assert traces(app) == set()
        assert app.host.file("/etc/nginx/conf.d").listdir() == []
        # The file must be identical to the package's, without the limits for the apps.
        assert "nginx.conf" not in app.host.run("dpkg --verify nginx nginx-common").stdout
        assert app.host.service("nginx").is_running
