"""Verdicts on a healthy host, and on hosts with a single problem, which exactly one check must report."""

from __future__ import annotations

import copy
import json
from itertools import chain

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.codes import CODES
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.doctor import CHECKS, verdicts
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import FAIL, OK, WARN
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.report import as_json, as_table, rows
from golden import compare_messages
from samples import SEEN

UNIT = {
    "there": True,
    "active": "active",
    "enabled": True,
    "needs_daemon_reload": False,
    "main_pid": 7,
    "stop_seconds": 50,
    "watchdog_seconds": 60,
}
IDLE = {**UNIT, "active": "inactive", "enabled": False, "main_pid": 0}
PEM = "/etc/asgi/hello/tls/live.pem"
CONFIG = "/srv/hello/configs/c2"

PROCESS = {"state": "active", "restarts": 0, "loops": False, "result": "success"}
HEALTHY = {
    "name": "hello",
    "user": "hello",
    "live": "green",
    "pairs": {"blue": {"release": "r1", "config": "c1"}, "green": {"release": "r2", "config": "c2"}},
    "on_disk": {"blue": True, "green": True},
    "links": {"live_socket": "green.sock", "staged": "releases/r2", "current": "releases/r2"},
    "tmpfiles": "d /run/hello 0711 root root -\nL+ /run/hello/live.sock - - - - green.sock\n",
    "log": [
        {"release": "r1", "config": "c1", "slot": "blue", "result": "retired"},
        {"release": "r2", "config": "c2", "slot": "green", "result": "live"},
    ],
    "releases": [{"release": "r1", "built_at": "2026-01-01"}, {"release": "r2", "built_at": "2026-01-02"}],
    "leftovers": [],
    "trial": False,
    "locks": [{"path": "/srv/hello/.lock", "note": "", "held_by": None}],
    "nginx": {"installed": True, "valid": True, "output": "ok", "warnings": []},
    "proxy_connections": {
        "connections": 12,
        "files": 30,
        "files_limit": 13056,
        "limit": 8704,
        "clients": 4096,
        "wanted": 8704,
        "refused": {"connections": 0, "files": 0},
    },
    "clock": {"synchronised": True, "container": False},
    "capacity": {
        "memtotal_mb": 2048,
        "cgroup_memory_mb": None,
        "apps": [{"name": "hello", "workers": 3, "worker_memory": 128, "reason": "3 = 2 CPUs + 1"}],
    },
    "processes": {
        "live": [
            {**PROCESS, "name": "worker", "kind": "process", "unit": "hello.worker.1@green.service"},
            {
                **PROCESS,
                "name": "cleanup",
                "kind": "timer",
                "unit": "hello.cleanup@green.timer",
                "last_success": "2026-01-01",
            },
        ],
        "enabled": True,
        "idle": [],
    },
    "timers": ["asgi-renew.timer", "logrotate.timer"],
    "metrics": ["hello-metrics.socket"],
    "units": {
        "hello@blue.service": IDLE,
        "hello@blue.socket": IDLE,
        "hello@green.service": UNIT,
        "hello@green.socket": {**UNIT, "stop_seconds": None},
        "nginx.service": UNIT,
        "asgi-renew.timer": UNIT,
        "logrotate.timer": UNIT,
        "hello-metrics.socket": UNIT,
    },
    "running": {
        "gunicorn": {
            "workers": 3,
            "keepalive": 10,
            "graceful_timeout": 40,
            "timeout": 30,
            "max_requests": 0,
            "max_requests_jitter": 0,
            "backlog": 2048,
        },
        "settings": ["MemoryMax", "TimeoutStopSec"],
        "unit_as_configured": True,
        "drop_in_as_configured": True,
        "misread": "",
        "plan": {"workers": 3, "worker_memory": 128, "reason": "3 = 2 CPUs + 1"},
        "workers": {"running": 3, "memory_mb": 32},
        "connections": {"connections": 9, "files": 20, "files_limit": 9216, "refused": 0},
        "queue": {"waiting": 0, "limit": 2048},
        "somaxconn": 4096,
        "tcp": {"dropped": 2, "accepted": 4},
        "queue_full": 0,
        "write_faults": {},
        "denials": [],
        "health": {"socket": "", "site": SEEN},
        "python": {"recorded": "3.11.2", "found": "3.11"},
        "disk": {"free_mb": 1000, "release_mb": 40, "free_files": 100000, "release_files": 1500},
        "modes": {
            "/run/hello/green.sock": {"owner": "root", "group": "www-data", "mode": "0660"},
            "/run/hello": {"owner": "root", "group": "root", "mode": "0711"},
            "/srv/hello/releases": {"owner": "root", "group": "root", "mode": "0755"},
            "/srv/hello/shared": {"owner": "hello", "group": "hello", "mode": "0750"},
            CONFIG: {"owner": "root", "group": "hello", "mode": "0750"},
            f"{CONFIG}/env": {"owner": "root", "group": "hello", "mode": "0640"},
        },
        "logs": {"/var/log/nginx/hello.access.log": {"owner": "www-data", "group": "adm", "mode": "0640"}},
        "site": {"keepalive_timeout": 2, "read_timeout": 60},
        "certificate": {
            "path": PEM,
            "mode": {"owner": "root", "group": "root", "mode": "0600"},
            "directory": {"owner": "root", "group": "root", "mode": "0700"},
            "read": {"days": 90, "names": ["hello.example.org", "*.tenants.example.org"]},
        },
    },
}
EXPECTED = {
    "server_names": ["hello.example.org", "a.tenants.example.org"],
    "keep_releases": 5,
    "workers": "auto",
    "plan": {"workers": 3, "reason": "3 = 2 CPUs + 1", "by_memory": 6},
    "drift": {
        "release": {"changed": False, "release": "r2", "built": False},
        "metrics": {"changed": False, "changes": []},
        "slot": {"changed": False, "changes": []},
        "site": {"changed": False, "written": [], "removed": []},
    },
}

# The check, the path of the changed observation, its new value, the verdict and the code. A dot separates keys.
FAULTS = [
    ("units", "units.hello@green#service.active", "failed", FAIL, "unit-inactive"),
    ("units", "units.hello@green#socket.active", "inactive", FAIL, "unit-inactive"),
    ("units", "units.nginx#service.active", "inactive", FAIL, "unit-inactive"),
    ("boot", "units.hello@green#service.enabled", False, FAIL, "unit-not-enabled"),
    ("boot", "units.nginx#service.enabled", False, FAIL, "unit-not-enabled"),
    ("boot", "tmpfiles", None, FAIL, "boot-slot-wrong"),
    ("boot", "tmpfiles", "L+ /run/hello/live.sock - - - - blue.sock\n", FAIL, "boot-slot-wrong"),
    ("idle slot", "units.hello@blue#service.active", "active", WARN, "idle-slot-running"),
    ("idle slot", "trial", True, WARN, "trial-leftover"),
    ("idle slot", "units.hello@blue#socket.enabled", True, WARN, "idle-slot-enabled"),
    ("traffic", "links.live_socket", None, FAIL, "live-socket-missing"),
    ("traffic", "links.current", "releases/r1", FAIL, "current-link-wrong"),
    ("traffic", "links.current", None, FAIL, "current-link-wrong"),
    ("health", "running.health.socket", "GET /health answered 'HTTP 500'", FAIL, "app-unhealthy"),
    ("health", "running.health.site.responses.0.answer.mark.status", 502, FAIL, "site-unhealthy"),
    ("health", "running.health.site.nginx.opens.socket", "Permission denied", FAIL, "site-unhealthy"),
    ("certificate", "running.health.site.responses.0.answer.certificate", "bb", FAIL, "site-certificate-not-served"),
    ("workers", "running.workers.running", 2, FAIL, "workers-missing"),
    ("workers", "running.workers.running", 0, FAIL, "workers-missing"),
    ("workers", "running.workers.running", 4, WARN, "workers-surplus"),
    ("queue", "running.queue.waiting", 1500, WARN, "queue-filling"),
    ("queue", "running.queue_full", 7, WARN, "queue-overflowed"),
    ("queue", "running.somaxconn", 128, WARN, "backlog-above-somaxconn"),
    ("queue", "running.tcp", {"dropped": 50, "accepted": 9000}, WARN, "tcp-connections-dropped"),
    ("connections", "proxy_connections.refused.connections", 7, WARN, "connections-refused"),
    ("connections", "proxy_connections.refused.files", 7, WARN, "nginx-files-exhausted"),
    ("connections", "proxy_connections.limit", 768, WARN, "connections-limit-low"),
    ("connections", "proxy_connections.connections", 7000, WARN, "connections-near-limit"),
    ("connections", "proxy_connections.files", 12000, WARN, "files-near-limit"),
    ("connections", "running.connections.files", 9000, WARN, "files-near-limit"),
    ("connections", "running.connections.refused", 3, WARN, "app-files-exhausted"),
    ("nginx -t", "nginx", {"installed": False}, FAIL, "nginx-missing"),
    (
        "nginx -t",
        "nginx",
        {"installed": True, "valid": False, "output": "[emerg] x", "warnings": []},
        FAIL,
        "nginx-config-invalid",
    ),
    ("nginx -t", "nginx.warnings", ['conflicting server name "x"'], WARN, "nginx-config-warning"),
    ("certificate", "running.certificate.path", None, FAIL, "site-certificate-missing"),
    ("certificate", "running.certificate.read", None, FAIL, "site-certificate-unreadable"),
    ("certificate", "running.certificate.read.days", -3, FAIL, "site-certificate-expired"),
    ("certificate", "running.certificate.read.days", 13, WARN, "site-certificate-expiring"),
    ("certificate", "running.certificate.read.names", ["hello.example.org"], WARN, "site-certificate-name-missing"),
    ("certificate", "running.certificate.mode.mode", "0644", FAIL, "site-certificate-exposed"),
    ("certificate", "running.certificate.directory.mode", "0755", WARN, "site-certificate-listed"),
    ("unit files", "running.unit_as_configured", False, FAIL, "unit-file-changed"),
    ("unit files", "running.drop_in_as_configured", False, FAIL, "unit-file-changed"),
    ("unit files", "units.hello@green#service.needs_daemon_reload", True, WARN, "unit-reload-needed"),
    ("unit files", "running.misread", "3: Unknown key name", WARN, "unit-file-misread"),
    ("permissions", "running.modes./run/hello/green#sock.mode", "0600", FAIL, "permissions-wrong"),
    ("permissions", "running.modes./run/hello/green#sock", None, FAIL, "path-missing"),
    ("permissions", f"running.modes.{CONFIG}/env.mode", "0644", FAIL, "permissions-wrong"),
    ("permissions", "running.logs./var/log/nginx/hello#access#log.mode", "0644", WARN, "log-world-readable"),
    ("writes", "running.write_faults", {"./app.db": 3}, WARN, "app-write-failed"),
    ("writes", "running.write_faults", {"unable to open database file": 1}, WARN, "app-write-failed"),
    ("sandbox", "running.denials", ["could not create a primitive"], WARN, "executable-memory-denied"),
    ("permissions", "running.modes./srv/hello/releases.owner", "hello", FAIL, "permissions-wrong"),
    ("memory", "running.workers.memory_mb", 210, WARN, "worker-memory-exceeded"),
    ("memory", "capacity.memtotal_mb", 400, WARN, "host-memory-exceeded"),
    ("deprecated", "running.settings", ["MemoryLimit"], WARN, "unit-setting-deprecated"),
    (
        "deprecated",
        "nginx.warnings",
        ['the "listen ... http2" directive is deprecated'],
        WARN,
        "nginx-directive-deprecated",
    ),
    ("timeouts", "running.gunicorn.keepalive", 2, FAIL, "idle-timeouts-inverted"),
    ("timeouts", "units.hello@green#service.stop_seconds", 40, FAIL, "stop-timeout-short"),
    ("timeouts", "running.site.read_timeout", 300, WARN, "drain-timeout-short"),
    ("timeouts", "units.hello@green#service.watchdog_seconds", 30, WARN, "watchdog-inverted"),
    ("timeouts", "running.site.read_timeout", 30, WARN, "read-timeout-short"),
    ("timeouts", "running.gunicorn.max_requests", 1000, WARN, "restarts-simultaneous"),
    ("release log", "log", None, FAIL, "log-damaged"),
    ("release log", "log", [], FAIL, "log-differs"),
    ("release log", "log", HEALTHY["log"][:1] + [{**HEALTHY["log"][1], "release": "r3"}], FAIL, "log-differs"),
    ("release log", "on_disk.green", False, FAIL, "release-incomplete"),
    ("release log", "on_disk.blue", False, WARN, "release-incomplete"),
    ("locks", "locks", [{"path": "/x", "note": "by ann since 10:00", "held_by": None}], WARN, "lock-stale"),
    ("locks", "locks", [{"path": "/x", "note": "by ann since 10:00", "held_by": 4}], WARN, "lock-held"),
    ("releases", "releases", [*HEALTHY["releases"], {"release": "r9", "built_at": None}], WARN, "release-unneeded"),
    ("releases", "leftovers", [".new-x"], WARN, "config-leftover"),
    ("releases", "running.python.found", "3.13", FAIL, "python-replaced"),
    ("releases", "running.python.found", None, FAIL, "python-replaced"),
    ("disk", "running.disk.free_mb", 79, WARN, "disk-space-low"),
    ("disk", "running.disk.free_mb", 39, FAIL, "disk-space-low"),
    ("disk", "running.disk.free_files", 2000, WARN, "inodes-low"),
    ("disk", "running.disk.free_files", 100, FAIL, "inodes-low"),
    ("clock", "clock.synchronised", False, WARN, "clock-not-synchronised"),
    ("metrics", "units.hello-metrics#socket.active", "failed", WARN, "metrics-socket-inactive"),
    ("metrics", "units.hello-metrics#socket.enabled", False, WARN, "metrics-socket-inactive"),
    ("processes", "processes.live.0.state", "activating", FAIL, "process-down"),
    ("processes", "processes.live.0.loops", True, FAIL, "process-restarting"),
    ("processes", "processes.live.1.state", "inactive", FAIL, "process-down"),
    ("processes", "processes.live.1.result", "timeout", WARN, "timer-failed"),
    ("processes", "processes.enabled", False, FAIL, "process-not-enabled"),
    ("processes", "processes.idle", ["hello.worker.1@blue.service"], WARN, "process-idle-slot"),
    ("timers", "units.logrotate#timer.there", False, WARN, "logrotate-missing"),
    ("timers", "units.logrotate#timer.active", "inactive", FAIL, "timer-inactive"),
    ("timers", "units.asgi-renew#timer.active", "inactive", FAIL, "timer-inactive"),
    ("timers", "units.asgi-renew#timer.enabled", False, WARN, "timer-not-enabled"),
]

# The same columns, for changed values of the inventory.
DISAGREEMENTS = [
    ("plan", "plan", {"workers": 5, "reason": "5 = 4 CPUs + 1", "by_memory": 6}, WARN, "workers-differ-from-plan"),
    ("certificate", "server_names", ["other.example.org"], WARN, "site-certificate-name-missing"),
    ("drift", "drift.release", {"changed": True, "release": "r3", "built": True}, WARN, "drift-found"),
    ("drift", "drift.release", {"changed": True, "release": "r3", "built": False}, WARN, "drift-found"),
    (
        "drift",
        "drift.release",
        {"changed": True, "release": "r3", "staged_before": "r3", "built": False, "command": True},
        WARN,
        "drift-found",
    ),
    ("drift", "drift.release", {"failed": True, "msg": "no such\nfile"}, WARN, "drift-unknown"),
    ("drift", "drift.slot", {"changed": True, "changes": ["activate r3", "x"]}, WARN, "drift-found"),
    ("drift", "drift.site", {"changed": True, "written": ["/a"], "removed": ["/b"]}, WARN, "drift-found"),
    ("drift", "drift.site", {"changed": True, "written": [], "removed": []}, WARN, "drift-found"),
]


def changed(tree, where, value):
    """Return a copy of *tree* with *value* at the path *where*; # stands for a dot in a key."""
    # deepcopy would keep an object that two keys share, so that one change would affect both.
    tree = json.loads(json.dumps(tree))
    *steps, last = [step.replace("#", ".") for step in where.split(".")]
    node = tree
    for step in steps:
        node = node[int(step) if isinstance(node, list) else step]
    node[last] = value
    return tree


def problems(found):
    return [each for each in found if each.verdict != OK]


def test_healthy_host_has_one_ok_for_each_check():
    found = verdicts(HEALTHY, EXPECTED)

    assert problems(found) == []
    assert [each.check for each in found] == list(CHECKS)


@pytest.mark.parametrize(("check", "where", "value", "verdict", "code"), FAULTS)
def test_each_problem_is_reported_by_one_check(check, where, value, verdict, code):
    [found] = problems(verdicts(changed(HEALTHY, where, value), EXPECTED))

    assert (found.check, found.verdict, found.code) == (check, verdict, code)


def test_messages():
    """The golden file contains one message for each code."""
    cases = [verdicts({**HEALTHY, "live": None}, EXPECTED)]
    cases += [verdicts(changed(HEALTHY, where, value), EXPECTED) for _check, where, value, *_rest in FAULTS]
    cases += [verdicts(HEALTHY, changed(EXPECTED, where, value)) for _check, where, value, *_rest in DISAGREEMENTS]
    cases += [verdicts(HEALTHY, {**CHOSEN, "plan": {"workers": 2, "reason": "2 = x", "by_memory": 2}})]
    found = {}
    for each in problems(chain.from_iterable(cases)):
        found.setdefault(each.code, f"{each.found} -> {each.remedy} [{each.code}]")
    compare_messages(__file__, [found[code] for code in CODES])


def test_running_trial_is_no_leftover():
    lock = {"path": "/srv/hello/.lock", "note": "by ann since 10:00: tune", "held_by": 4}
    found = problems(verdicts({**HEALTHY, "trial": True, "locks": [lock]}, EXPECTED))

    assert [each.check for each in found] == ["locks"]


def test_busy_threads_may_take_longer_than_nginx_waits():
    patient = changed(HEALTHY, "running.gunicorn", {**HEALTHY["running"]["gunicorn"], "threads": 4, "timeout": 65})
    patient["units"]["hello@green.service"]["watchdog_seconds"] = 95

    assert problems(verdicts(patient, EXPECTED)) == []


@pytest.mark.parametrize(("check", "where", "value", "verdict", "code"), DISAGREEMENTS)
def test_each_difference_from_the_inventory_is_reported(check, where, value, verdict, code):
    [found] = problems(verdicts(HEALTHY, changed(EXPECTED, where, value)))

    assert (found.check, found.verdict, found.code) == (check, verdict, code)


def test_every_check_has_a_problem_in_these_tables():
    assert {check for check, *_rest in FAULTS + DISAGREEMENTS} == set(CHECKS)


CHOSEN = {**EXPECTED, "workers": 3}


def test_explicit_number_of_workers_may_differ_from_the_plan_but_must_fit():
    assert problems(verdicts(HEALTHY, {**CHOSEN, "plan": {"workers": 9, "reason": "9 = x", "by_memory": 40}})) == []

    [found] = problems(verdicts(HEALTHY, {**CHOSEN, "plan": {"workers": 2, "reason": "2 = x", "by_memory": 2}}))
    assert (found.check, found.verdict, found.code) == ("plan", WARN, "workers-exceed-memory")


def test_releases_beyond_the_number_to_keep_are_unneeded():
    old = [{"release": f"r{number}", "built_at": f"2025-01-0{number}"} for number in range(3, 9)]

    found = problems(verdicts(changed(HEALTHY, "releases", [*HEALTHY["releases"], *old]), EXPECTED))

    # The five newest releases include r1 and r2, which the slots need.
    assert [each.found.split()[0].rpartition("/")[2] for each in found] == ["r3", "r4", "r5"]


def test_clock_of_a_container_is_not_examined():
    assert problems(verdicts(changed(HEALTHY, "clock", {"synchronised": False, "container": True}), EXPECTED)) == []


def test_missing_expectations_are_not_compared():
    assert problems(verdicts(HEALTHY)) == []


@pytest.mark.parametrize("change", [{"live": None, "running": None}, {"running": None}])
def test_app_without_a_live_release_is_not_deployed(change):
    [found] = verdicts({**HEALTHY, **change}, EXPECTED)

    assert (found.check, found.verdict, found.code) == ("deployed", FAIL, "app-not-deployed")


def test_missing_observations_are_no_problem():
    seen = copy.deepcopy(HEALTHY)
    seen["running"].update(queue=None, tcp=None, health={"socket": None, "site": None}, gunicorn={})
    seen["running"]["workers"]["memory_mb"] = None
    seen["clock"]["synchronised"] = None
    seen["running"]["disk"]["free_files"] = None

    assert problems(verdicts(seen, EXPECTED)) == []


def report(seen):
    answer = {"observations": seen, "verdicts": [each._asdict() for each in verdicts(seen, EXPECTED)]}
    return rows(["web1"], [answer])


def test_table_begins_with_the_worst_verdict():
    lines = as_table(report(changed(HEALTHY, "units.nginx#service.active", "failed"))).splitlines()

    assert lines[0] == f"web1 hello: {len(CHECKS) - 1} ok, 0 warn, 1 fail"
    assert lines[1].split() == ["fail", "units", "nginx.service", "is", "failed"]
    assert lines[2].strip() == "-> see journalctl --unit=nginx.service; site.yml starts it [unit-inactive]"


def test_json_has_one_entry_for_each_verdict():
    found = json.loads(as_json(report(HEALTHY)))

    assert [entry["check"] for entry in found] == list(CHECKS)
    assert set(found[0]) == {"host", "app", "check", "verdict", "code", "found", "remedy"}


def test_table_without_hosts():
    assert as_table([]) == "no host was examined"
