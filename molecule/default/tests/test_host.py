"""The services of the machine and their accounts."""

from __future__ import annotations

import json
import re

from traffic.playbooks import wait_for


def test_nginx_and_the_live_slot_are_running_and_enabled(app):
    nginx = app.host.service("nginx")
    assert nginx.is_running
    assert nginx.is_enabled
    assert app.host.service(f"{app.name}@{app.live}.socket").is_running
    assert app.host.service(app.service(app.live)).is_running
    assert app.host.service(f"{app.name}@{app.live}.socket").is_enabled
    assert app.host.service(app.service(app.live)).is_enabled


def test_logs_are_rotated(app):
    # The image has no logrotate.
    assert app.host.service("logrotate.timer").is_running
    assert app.host.run("logrotate --debug /etc/logrotate.conf").rc == 0


def test_nginx_and_the_app_have_the_limits_for_the_clients(app):
    nginx_conf = app.host.file("/etc/nginx/nginx.conf").content_string
    site = app.host.file(f"/etc/nginx/conf.d/asgi-{app.name}.conf").content_string
    clients = int(re.search("(?m)^# Clients: ([0-9]+)$", site)[1])
    connections = int(re.search("worker_connections ([0-9]+); # asgi.deploy: was 768", nginx_conf)[1])
    files = int(re.search("worker_rlimit_nofile ([0-9]+);", nginx_conf)[1])

    # The limit of the container may be lower.
    assert connections >= min(2 * clients, files * 2 // 3)
    assert clients >= 1024
    limits = app.host.check_output(
        "for pid in $(cat /proc/$(cat /run/nginx.pid)/task/*/children); do grep 'Max open files' /proc/$pid/limits; done"
    )
    assert {int(line.split()[3]) for line in limits.splitlines()} == {files}
    assert int(app.property_of(app.service(app.live), "LimitNOFILESoft")) == 2 * clients + 1024


def test_idle_slot_is_neither_running_nor_enabled(app):
    for unit in (app.service(app.idle), f"{app.name}@{app.idle}.socket"):
        assert not app.host.service(unit).is_running
        assert app.property_of(unit, "UnitFileState") != "enabled"


def test_only_nginx_can_connect_to_the_socket(app):
    sock = app.host.file(f"/run/{app.name}/{app.live}.sock")
    assert sock.is_socket
    assert sock.group == "www-data"
    assert sock.mode == 0o660


def test_server_options_in_the_environment_have_no_effect(hello):
    assert len(hello.workers) == 2
    assert "GUNICORN_CMD_ARGS" not in hello.host.check_output(f"tr '\\0' '\\n' </proc/{hello.master}/environ")
    assert hello.host.run("ss -Htln sport = :8000").stdout == ""


def test_app_runs_as_its_own_account(app):
    assert app.host.process.get(pid=app.master).user == app.name
    assert app.host.user(app.name).shell.endswith(("nologin", "false"))


def test_only_root_and_the_app_can_read_its_environment(app):
    env = app.host.file(f"/srv/{app.name}/slots/{app.live}/config/env")
    assert (env.user, env.group, env.mode) == ("root", app.name, 0o640)


def test_another_app_cannot_read_the_environment(hello):
    path = f"/srv/hello/slots/{hello.live}/config/env"
    assert hello.host.run(f"runuser -u hello -- grep not-for-other-eyes {path}").rc == 0
    assert hello.host.run(f"runuser -u titiler -- cat {path}").rc != 0


def test_journal_contains_no_secret(hello):
    assert "not-for-other-eyes" not in hello.journal()


def test_app_cannot_write_to_its_release(app):
    release = app.host.check_output(f"readlink -f /srv/{app.name}/slots/{app.live}/release")
    assert app.host.run(f"runuser -u {app.name} -- test -w {release}/code").rc != 0
    assert app.host.run(f"runuser -u {app.name} -- test -w /srv/{app.name}/shared").rc == 0


def test_current_is_the_live_release(app):
    current = app.host.check_output(f"readlink -f /srv/{app.name}/current")
    assert current == app.host.check_output(f"readlink -f /srv/{app.name}/slots/{app.live}/release")
    assert json.loads(app.host.file(f"{current}/release.json").content)["app"] == app.name


def test_service_is_sandboxed(app):
    report = app.host.check_output(f"systemd-analyze security --no-pager {app.service(app.live)}")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure, report
    assert float(exposure[1]) <= 2.5, report


def test_logs_of_the_app_are_json(hello):
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
    # nginx writes its access log with a delay of a second or more.
    wait_for(lambda: id in hello.host.file("/var/log/nginx/hello.access.log").content_string, f"{id} in nginx's log")
