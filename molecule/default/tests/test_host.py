"""What runs on the machine, and as whom."""

from __future__ import annotations

import json
import re

from traffic.playbooks import wait_for


def test_nginx_and_the_live_slot_run_and_start_at_boot(app):
    nginx = app.host.service("nginx")
    assert nginx.is_running
    assert nginx.is_enabled
    assert app.host.service(f"{app.name}@{app.live}.socket").is_running
    assert app.host.service(app.service(app.live)).is_running
    assert app.host.service(f"{app.name}@{app.live}.socket").is_enabled
    assert app.host.service(app.service(app.live)).is_enabled


def test_the_idle_slot_neither_runs_nor_starts_at_boot(app):
    for unit in (app.service(app.idle), f"{app.name}@{app.idle}.socket"):
        assert not app.host.service(unit).is_running
        assert app.property_of(unit, "UnitFileState") != "enabled"


def test_only_nginx_may_connect_to_the_socket(app):
    sock = app.host.file(f"/run/{app.name}/{app.live}.sock")
    assert sock.is_socket
    assert sock.group == "www-data"
    assert sock.mode == 0o660


def test_the_app_runs_as_its_own_user(app):
    pid = app.property_of(app.service(app.live), "MainPID")
    assert app.host.process.get(pid=pid).user == app.name
    assert app.host.user(app.name).shell.endswith(("nologin", "false"))


def test_only_root_and_the_app_read_its_environment(app):
    env = app.host.file(f"/srv/{app.name}/slots/{app.live}/config/env")
    assert (env.user, env.group, env.mode) == ("root", app.name, 0o640)


def test_another_app_cannot_read_the_environment(hello):
    path = f"/srv/hello/slots/{hello.live}/config/env"
    assert hello.host.run(f"runuser -u hello -- grep not-for-other-eyes {path}").rc == 0
    assert hello.host.run(f"runuser -u titiler -- cat {path}").rc != 0


def test_a_secret_is_in_no_journal(hello):
    assert "not-for-other-eyes" not in hello.journal()


def test_the_release_cannot_be_written_by_the_app(app):
    release = app.host.check_output(f"readlink -f /srv/{app.name}/slots/{app.live}/release")
    assert app.host.run(f"runuser -u {app.name} -- test -w {release}/code").rc != 0
    assert app.host.run(f"runuser -u {app.name} -- test -w /srv/{app.name}/shared").rc == 0


def test_current_is_the_live_release(app):
    current = app.host.check_output(f"readlink -f /srv/{app.name}/current")
    assert current == app.host.check_output(f"readlink -f /srv/{app.name}/slots/{app.live}/release")
    assert json.loads(app.host.file(f"{current}/release.json").content)["app"] == app.name


def test_the_service_is_sandboxed(app):
    report = app.host.check_output(f"systemd-analyze security --no-pager {app.service(app.live)}")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure, report
    assert float(exposure[1]) <= 2.5, report


def test_what_the_app_logs_is_json(hello):
    answer = hello.ask("/echo", method="POST", body=b"[1]", headers={"Content-Type": "application/json"})
    assert answer.json() == [1]
    lines = hello.journal(f"_SYSTEMD_UNIT={hello.service(hello.live)}").splitlines()
    records = [json.loads(line) for line in lines]
    [id] = [
        record.get("request_id")
        for record in records
        if "echoing a body of type list" in record.values()
        and record.get("request_id") == answer.headers["X-Request-ID"]
    ]
    # nginx has it as well, and writes it a second later or more
    wait_for(lambda: id in hello.host.file("/var/log/nginx/hello.access.log").content_string, f"{id} in nginx's log")
