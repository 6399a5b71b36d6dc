"""The verdicts: a healthy host, and each fault alone, which must be found by its check and by no other."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.doctor import (
    CHECKS,
    FAIL,
    OK,
    WARN,
    as_json,
    as_table,
    rows,
    verdicts,
)

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

HEALTHY = {
    "name": "hello",
    "user": "hello",
    "live": "green",
    "pairs": {"blue": {"release": "r1", "config": "c1"}, "green": {"release": "r2", "config": "c2"}},
    "on_disk": {"blue": True, "green": True},
    "links": {"live_socket": "green.sock", "staged": "releases/r2", "current": "releases/r2"},
    "tmpfiles": "d /run/hello 0755 root root -\nL+ /run/hello/live.sock - - - - green.sock\n",
    "log": [
        {"release": "r1", "config": "c1", "slot": "blue", "result": "retired"},
        {"release": "r2", "config": "c2", "slot": "green", "result": "live"},
    ],
    "releases": [{"release": "r1", "built_at": "2026-01-01"}, {"release": "r2", "built_at": "2026-01-02"}],
    "leftovers": [],
    "trial": False,
    "locks": [{"path": "/srv/hello/.lock", "note": "", "held_by": None}],
    "nginx": {"there": True, "accepts": True, "said": "ok", "warnings": []},
    "clock": {"synchronised": True, "container": False},
    "capacity": {
        "memtotal_mb": 2048,
        "cgroup_memory_mb": None,
        "apps": [{"name": "hello", "workers": 3, "worker_memory": 128, "reason": "3 = 2 CPUs + 1"}],
    },
    "timers": ["asgi-renew.timer"],
    "metrics": ["hello-metrics.socket"],
    "units": {
        "hello@blue.service": IDLE,
        "hello@blue.socket": IDLE,
        "hello@green.service": UNIT,
        "hello@green.socket": {**UNIT, "stop_seconds": None},
        "nginx.service": UNIT,
        "asgi-renew.timer": UNIT,
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
        "queue": {"waiting": 0, "limit": 2048},
        "somaxconn": 4096,
        "tcp": {"dropped": 2, "accepted": 4},
        "queue_full": 0,
        "health": {"socket": "", "site": ""},
        "python": {"recorded": "3.11.2", "found": "3.11"},
        "disk": {"free_mb": 1000, "release_mb": 40, "free_files": 100000, "release_files": 1500},
        "modes": {
            "/run/hello/green.sock": {"owner": "root", "group": "www-data", "mode": "0660"},
            "/run/hello": {"owner": "root", "group": "root", "mode": "0755"},
            "/srv/hello/releases": {"owner": "root", "group": "root", "mode": "0755"},
            "/srv/hello/shared": {"owner": "hello", "group": "hello", "mode": "0750"},
            CONFIG: {"owner": "root", "group": "hello", "mode": "0750"},
            f"{CONFIG}/env": {"owner": "root", "group": "hello", "mode": "0640"},
        },
        "site": {"keepalive_timeout": 2, "read_timeout": 60},
        "certificate": {
            "path": PEM,
            "mode": {"owner": "root", "group": "root", "mode": "0600"},
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

# check -> (where, what is there instead, verdict, words of what is found or of the remedy); a dot leads deeper
FAULTS = [
    ("units", "units.hello@green#service.active", "failed", FAIL, "hello@green.service is failed"),
    ("units", "units.hello@green#socket.active", "inactive", FAIL, "hello@green.socket is inactive"),
    ("units", "units.nginx#service.active", "inactive", FAIL, "nginx.service is inactive"),
    ("boot", "units.hello@green#service.enabled", False, FAIL, "does not start at boot"),
    ("boot", "units.nginx#service.enabled", False, FAIL, "systemctl enable nginx.service"),
    ("boot", "tmpfiles", None, FAIL, "after a reboot"),
    ("boot", "tmpfiles", "L+ /run/hello/live.sock - - - - blue.sock\n", FAIL, "does not lead to slot green"),
    (
        "idle slot",
        "units.hello@blue#service.active",
        "active",
        WARN,
        "hello@blue.service, which has no traffic, is active",
    ),
    ("idle slot", "trial", True, WARN, "/srv/hello/slots/trial is what a tune.yml that was killed has left"),
    ("idle slot", "units.hello@blue#socket.enabled", True, WARN, "systemctl disable hello@blue.socket"),
    ("traffic", "links.live_socket", None, FAIL, "nginx reaches no slot"),
    ("traffic", "links.current", "releases/r1", FAIL, "/srv/hello/current is releases/r1, and r2 is live"),
    ("traffic", "links.current", None, FAIL, "is missing"),
    ("health", "running.health.socket", "GET /health answered 'HTTP 500'", FAIL, "HTTP 500"),
    ("health", "running.health.site", "GET /health answered 'HTTP 502'", FAIL, "hello.error.log"),
    ("workers", "running.workers.running", 2, FAIL, "2 of 3 workers run"),
    ("workers", "running.workers.running", 0, FAIL, "0 of 3 workers run"),
    ("workers", "running.workers.running", 4, WARN, "4 workers run instead of 3"),
    ("queue", "running.queue.waiting", 1500, WARN, "1500 connections wait in the queue of 2048"),
    ("queue", "running.queue_full", 7, WARN, "full 7 times"),
    ("queue", "running.somaxconn", 128, WARN, "the kernel allows 128"),
    ("queue", "running.tcp", {"dropped": 50, "accepted": 9000}, WARN, "50 TCP connections"),
    ("nginx -t", "nginx", {"there": False}, FAIL, "no nginx"),
    ("nginx -t", "nginx", {"there": True, "accepts": False, "said": "[emerg] x", "warnings": []}, FAIL, "[emerg] x"),
    ("nginx -t", "nginx.warnings", ['conflicting server name "x"'], WARN, "conflicting server name"),
    ("certificate", "running.certificate.path", None, FAIL, "names no certificate"),
    ("certificate", "running.certificate.read", None, FAIL, "cannot be read"),
    ("certificate", "running.certificate.read.days", -3, FAIL, "live.pem has expired"),
    ("certificate", "running.certificate.read.days", 13, WARN, "expires in 13 days"),
    ("certificate", "running.certificate.read.names", ["hello.example.org"], WARN, "not for a.tenants.example.org"),
    ("certificate", "running.certificate.mode.mode", "0644", FAIL, "chmod 0600"),
    ("unit files", "running.unit_as_configured", False, FAIL, "/etc/systemd/system/hello@.service is not what"),
    ("unit files", "running.drop_in_as_configured", False, FAIL, "slot.conf is not what was activated"),
    ("unit files", "units.hello@green#service.needs_daemon_reload", True, WARN, "systemctl daemon-reload"),
    ("unit files", "running.misread", "3: Unknown key name", WARN, "Unknown key name"),
    ("permissions", "running.modes./run/hello/green#sock.mode", "0600", FAIL, "chmod 0660 /run/hello/green.sock"),
    ("permissions", "running.modes./run/hello/green#sock", None, FAIL, "/run/hello/green.sock is not there"),
    ("permissions", f"running.modes.{CONFIG}/env.mode", "0644", FAIL, "root:hello 0644, not root:hello 0640"),
    ("permissions", "running.modes./srv/hello/releases.owner", "hello", FAIL, "chown root:root /srv/hello/releases"),
    ("memory", "running.workers.memory_mb", 210, WARN, "asgi_server_worker_memory: 288"),
    ("memory", "capacity.memtotal_mb", 400, WARN, "416 MiB, and it has 400"),
    ("deprecated", "running.settings", ["MemoryLimit"], WARN, "use MemoryMax"),
    ("deprecated", "nginx.warnings", ['the "listen ... http2" directive is deprecated'], WARN, "next version of nginx"),
    ("timeouts", "running.gunicorn.keepalive", 2, FAIL, "a POST may be written"),
    ("timeouts", "units.hello@green#service.stop_seconds", 40, FAIL, "systemd kills the service 40 s after"),
    ("timeouts", "running.site.read_timeout", 300, WARN, "raise asgi_server_graceful_timeout"),
    ("timeouts", "units.hello@green#service.watchdog_seconds", 30, WARN, "it comes from asgi_server_watchdog"),
    (
        "timeouts",
        "running.site.read_timeout",
        30,
        WARN,
        "make asgi_server_timeout smaller than asgi_proxy_read_timeout",
    ),
    ("timeouts", "running.gunicorn.max_requests", 1000, WARN, "replaced at once"),
    ("release log", "log", None, FAIL, "cannot be understood"),
    ("release log", "log", [], FAIL, "says that nothing is live"),
    (
        "release log",
        "log",
        HEALTHY["log"][:1] + [{**HEALTHY["log"][1], "release": "r3"}],
        FAIL,
        "says that r3/c2 is live",
    ),
    ("release log", "on_disk.green", False, FAIL, "slot green has release r2, which is not whole"),
    ("release log", "on_disk.blue", False, WARN, "slot blue has release r1"),
    ("locks", "locks", [{"path": "/x", "note": "by ann since 10:00", "held_by": None}], WARN, "/x is stale"),
    ("locks", "locks", [{"path": "/x", "note": "by ann since 10:00", "held_by": 4}], WARN, "held by ann since 10:00"),
    (
        "releases",
        "releases",
        [*HEALTHY["releases"], {"release": "r9", "built_at": None}],
        WARN,
        "r9 was never completed",
    ),
    ("releases", "leftovers", [".new-x"], WARN, "rm -r /srv/hello/configs/.new-x"),
    ("releases", "running.python.found", "3.13", FAIL, "built with Python 3.11.2, and its interpreter is 3.13"),
    ("releases", "running.python.found", None, FAIL, "is gone"),
    ("disk", "running.disk.free_mb", 79, WARN, "79 MiB are free"),
    ("disk", "running.disk.free_mb", 39, FAIL, "39 MiB are free"),
    ("disk", "running.disk.free_files", 2000, WARN, "inodes"),
    ("disk", "running.disk.free_files", 100, FAIL, "inodes"),
    ("clock", "clock.synchronised", False, WARN, "timesyncd or chrony"),
    ("metrics", "units.hello-metrics#socket.active", "failed", WARN, "systemctl enable --now hello-metrics.socket"),
    ("metrics", "units.hello-metrics#socket.enabled", False, WARN, "not enabled at boot"),
    ("timers", "units.asgi-renew#timer.active", "inactive", FAIL, "systemctl enable --now asgi-renew.timer"),
    ("timers", "units.asgi-renew#timer.enabled", False, WARN, "does not start at boot"),
]

# the same for what the inventory expects
DISAGREEMENTS = [
    ("plan", "plan", {"workers": 5, "reason": "5 = 4 CPUs + 1", "by_memory": 6}, WARN, "the plan is 5 = 4 CPUs + 1"),
    ("certificate", "server_names", ["other.example.org"], WARN, "not for other.example.org"),
    ("drift", "drift.release", {"changed": True, "release": "r3", "built": True}, WARN, "build release r3"),
    ("drift", "drift.release", {"changed": True, "release": "r3", "built": False}, WARN, "stage release r3"),
    ("drift", "drift.release", {"failed": True, "msg": "no such\nfile"}, WARN, "cannot be compared: no such"),
    ("drift", "drift.slot", {"changed": True, "changes": ["activate r3", "x"]}, WARN, "site.yml would activate r3, x"),
    ("drift", "drift.site", {"changed": True, "written": ["/a"], "removed": ["/b"]}, WARN, "change /a and /b"),
    ("drift", "drift.site", {"changed": True, "written": [], "removed": []}, WARN, "nginx has not loaded"),
]


def changed(tree, where, value):
    """Return a copy of *tree* with *value* at the path *where*; a # is a dot in a name."""
    # not deepcopy: what is one object in the original would be one in the copy
    tree = json.loads(json.dumps(tree))
    *steps, last = [step.replace("#", ".") for step in where.split(".")]
    node = tree
    for step in steps:
        node = node[step]
    node[last] = value
    return tree


def amiss(found):
    return [each for each in found if each.verdict != OK]


def test_a_healthy_host_has_one_ok_for_each_check():
    found = verdicts(HEALTHY, EXPECTED)

    assert amiss(found) == []
    assert [each.check for each in found] == list(CHECKS)


@pytest.mark.parametrize(("check", "where", "value", "verdict", "words"), FAULTS)
def test_each_fault_is_found_by_its_check_alone(check, where, value, verdict, words):
    [found] = amiss(verdicts(changed(HEALTHY, where, value), EXPECTED))

    assert (found.check, found.verdict) == (check, verdict)
    assert words in f"{found.found} -> {found.remedy}"
    assert found.remedy


def test_a_trial_that_is_under_way_is_no_leftover():
    lock = {"path": "/srv/hello/.lock", "note": "by ann since 10:00: tune", "held_by": 4}
    found = amiss(verdicts({**HEALTHY, "trial": True, "locks": [lock]}, EXPECTED))

    assert [each.check for each in found] == ["locks"]


def test_busy_threads_are_given_longer_than_nginx_waits():
    patient = changed(HEALTHY, "running.gunicorn", {**HEALTHY["running"]["gunicorn"], "threads": 4, "timeout": 65})
    patient["units"]["hello@green.service"]["watchdog_seconds"] = 95

    assert amiss(verdicts(patient, EXPECTED)) == []


@pytest.mark.parametrize(("check", "where", "value", "verdict", "words"), DISAGREEMENTS)
def test_each_disagreement_with_the_inventory(check, where, value, verdict, words):
    [found] = amiss(verdicts(HEALTHY, changed(EXPECTED, where, value)))

    assert (found.check, found.verdict) == (check, verdict)
    assert words in f"{found.found} -> {found.remedy}"
    assert found.remedy


def test_every_check_has_a_fault_in_these_tables():
    assert {check for check, *_rest in FAULTS + DISAGREEMENTS} == set(CHECKS)


def test_an_explicit_number_may_differ_from_the_plan_but_must_fit():
    chosen = {**EXPECTED, "workers": 3, "plan": {"workers": 9, "reason": "9 = x", "by_memory": 40}}
    assert amiss(verdicts(HEALTHY, chosen)) == []

    [found] = amiss(verdicts(HEALTHY, {**chosen, "plan": {"workers": 2, "reason": "2 = x", "by_memory": 2}}))
    assert (found.check, found.verdict) == ("plan", WARN)


def test_a_release_beyond_those_that_are_kept():
    old = [{"release": f"r{number}", "built_at": f"2025-01-0{number}"} for number in range(3, 9)]

    found = amiss(verdicts(changed(HEALTHY, "releases", [*HEALTHY["releases"], *old]), EXPECTED))

    # five newest are kept, and r1 and r2, which the slots need, are among them
    assert [each.found.split()[0].rpartition("/")[2] for each in found] == ["r3", "r4", "r5"]


def test_a_container_is_not_asked_for_the_time():
    assert amiss(verdicts(changed(HEALTHY, "clock", {"synchronised": False, "container": True}), EXPECTED)) == []


def test_without_an_inventory_nothing_is_compared():
    assert amiss(verdicts(HEALTHY)) == []


@pytest.mark.parametrize("change", [{"live": None, "running": None}, {"running": None}])
def test_an_app_that_is_not_deployed(change):
    [found] = verdicts({**HEALTHY, **change}, EXPECTED)

    assert (found.check, found.verdict) == ("deployed", FAIL)


def test_what_could_not_be_asked_is_no_fault():
    seen = copy.deepcopy(HEALTHY)
    seen["running"].update(queue=None, tcp=None, health={"socket": None, "site": None}, gunicorn={})
    seen["running"]["workers"]["memory_mb"] = None
    seen["clock"]["synchronised"] = None
    seen["running"]["disk"]["free_files"] = None

    assert amiss(verdicts(seen, EXPECTED)) == []


def report(seen):
    answer = {"observations": seen, "verdicts": [each._asdict() for each in verdicts(seen, EXPECTED)]}
    return rows(["web1"], [answer])


def test_the_table_begins_with_what_is_worst():
    lines = as_table(report(changed(HEALTHY, "units.nginx#service.active", "failed"))).splitlines()

    assert lines[0] == f"web1 hello: {len(CHECKS) - 1} ok, 0 warn, 1 fail"
    assert lines[1].split() == ["fail", "units", "nginx.service", "is", "failed"]
    assert lines[2].strip().startswith("-> see journalctl --unit=nginx.service")


def test_programs_get_one_entry_for_each_verdict():
    found = json.loads(as_json(report(HEALTHY)))

    assert [entry["check"] for entry in found] == list(CHECKS)
    assert set(found[0]) == {"host", "app", "check", "verdict", "found", "remedy"}


def test_nobody_to_report_on():
    assert as_table([]) == "no host was examined"
