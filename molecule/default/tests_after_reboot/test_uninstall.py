"""At last the apps go, one after the other: nothing stays that was not to stay, and the other app notices nothing.

The tests build on one another, in this order.
"""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

EVERYTHING = {
    "asgi_app_uninstall_data": True,
    "asgi_proxy_uninstall_certificates": True,
    "asgi_proxy_uninstall_logs": True,
}

# Wherever something could be that is named after an app; below /srv only what lies at the top.
TRACES = r"""
find /etc /opt /run /srv /tmp /usr/local /var -xdev \( -path '/srv/*/*' -o -path /var/cache/asgi \) -prune \
    -o -name '*APP*' -not -path '/var/tmp/*-release.json' -not -path '/var/tmp/hook-*' -print
grep -ls '^APP:' /etc/passwd /etc/group /etc/shadow
systemctl list-units --all --no-legend 'APP@*'
"""
KEPT = {"/srv/hello", "/etc/asgi/hello", "/var/log/nginx/hello.access.log", "/var/log/nginx/hello.error.log"}

# What the other app is: files and links with owner, mode and time of change, and processes.
FINGERPRINT = r"""
find /srv/titiler /run/titiler /etc/asgi/titiler /etc/nginx /etc/systemd/system/titiler@* /etc/tmpfiles.d/asgi-titiler.conf \
    -not -type d -not -name 'asgi-hello.conf' -not -name '*.pyc' -printf '%p %y %m %u %g %T@ %l\n' | sort
systemctl show --property=Id,MainPID,ActiveEnterTimestamp,NRestarts titiler@blue.service titiler@green.service
"""


def traces(app):
    return set(app.host.run(TRACES.replace("APP", app.name)).stdout.splitlines())


def recap(said):
    return set(re.findall(r"changed=(\d+) +unreachable=\d+ +failed=(\d+)", said))


@pytest.fixture
def while_visited():
    """Run something while clients ask apps again and again; return what it returns, and all that the clients got."""

    def visit(app, done):
        got = []
        while not done.is_set():
            try:
                got.append(app.ask(app.probe_path).status)
            except OSError as exc:
                got.append(str(exc))
            time.sleep(0.05)
        return got

    def run(apps, action):
        done = threading.Event()
        with ThreadPoolExecutor() as pool:
            visits = [pool.submit(visit, app, done) for app in apps]
            try:
                result = action()
            finally:
                done.set()
        return result, [answer for each in visits for answer in each.result()]

    return run


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "asgi_uninstall is not set"),
        ({"asgi_uninstall": "titiler"}, "asgi_uninstall is 'titiler', and asgi_name is 'hello'"),
        ({"asgi_uninstall": "hello", "asgi_app_uninstall_data": "yes"}, "asgi_app_uninstall_data is the text 'yes'"),
    ],
)
def test_what_is_not_meant_is_refused(one_hello, playbook, variables, told):
    before = traces(one_hello)
    status, said = playbook("uninstall", "--limit", "hello", **variables)
    assert status != 0
    assert told in said
    assert traces(one_hello) == before


def test_nothing_goes_while_somebody_deploys(one_hello, playbook):
    before = traces(one_hello)
    one_hello.host.check_output("systemd-run --quiet --unit=deployer flock /srv/hello/.lock sleep 300")
    try:
        status, said = playbook("uninstall", "--limit", "hello", asgi_uninstall="hello")
    finally:
        one_hello.host.check_output("systemctl stop deployer.service")
    assert status != 0
    assert "hello is being changed" in said
    assert traces(one_hello) == before
    assert one_hello.ask("/health").status == 200


def test_check_mode_tells_what_would_go(one_hello, playbook):
    before = traces(one_hello)
    status, said = playbook("uninstall", "--limit", "hello", "--check", "--diff", asgi_uninstall="hello", **EVERYTHING)
    assert status == 0, said
    for path in ("/etc/nginx/conf.d/asgi-hello.conf", "/etc/systemd/system/hello@.service", "/srv/hello/shared"):
        assert path in said
    assert traces(one_hello) == before
    assert one_hello.ask("/health").status == 200


def test_one_app_goes_and_the_other_notices_nothing(everywhere, playbook, while_visited, capsys):
    for app in everywhere("hello"):
        app.host.check_output("install --owner=hello --group=hello --mode=0600 /dev/null /srv/hello/shared/picture")
    before = [app.host.check_output(FINGERPRINT) for app in everywhere("titiler")]

    (status, said), answers = while_visited(
        everywhere("titiler"), lambda: playbook("uninstall", "--limit", "hello", asgi_uninstall="hello")
    )

    assert status == 0, said
    with capsys.disabled():
        print(f"\nuninstall of hello: titiler answered {answers.count(200)} of {len(answers)}")
    assert len(answers) > 20
    assert set(answers) == {200}
    assert [app.host.check_output(FINGERPRINT) for app in everywhere("titiler")] == before
    for app in everywhere("hello"):
        assert traces(app) == KEPT
        with pytest.raises(OSError):
            app.ask("/health")
    status, said = playbook("uninstall", "--limit", "hello", asgi_uninstall="hello")
    assert (status, recap(said)) == (0, {("0", "0")}), said


def test_data_that_stays_is_closed_and_comes_back(everywhere, playbook):
    for app in everywhere("hello"):
        owner = app.host.check_output("stat --format=%u /srv/hello/shared/picture")
        # as the next account would, by itself or not
        app.host.check_output(f"useradd --system --uid {owner} next")
        assert app.host.run("runuser -u next -- cat /srv/hello/shared/picture").rc != 0

    status, said = playbook("site", "--limit", "hello")

    assert status == 0, said
    for app in everywhere("hello"):
        assert app.json("/")["message"] == "Good day from FastAPI"
        assert app.host.check_output("stat --format='%U %G %a' /srv/hello/shared/picture") == "hello hello 600"
        assert app.host.run("runuser -u next -- cat /srv/hello/shared/picture").rc != 0


def test_nothing_stays_where_nothing_is_to_stay(everywhere, playbook):
    status, said = playbook("uninstall", "--limit", "hello", asgi_uninstall="hello", **EVERYTHING)
    assert status == 0, said
    for app in everywhere("hello"):
        assert traces(app) == set()


def test_the_last_app_takes_along_what_apps_share(everywhere, playbook):
    status, said = playbook("uninstall", "--limit", "titiler", asgi_uninstall="titiler", **EVERYTHING)
    assert status == 0, said
    for app in everywhere("titiler"):
        assert traces(app) == set()
        assert app.host.file("/etc/nginx/conf.d").listdir() == []
        assert app.host.service("nginx").is_running
