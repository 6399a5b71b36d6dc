"""The output of the host command."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair, history, with_bad, with_live
from ansible_collections.asgi.deploy.plugins.module_utils._command.report import release_lines, status_lines

FOUND = {
    "name": "shop",
    "slot": "blue",
    "release": "src-2",
    "config": "c1",
    "state": "active",
    "since": "Tue 2026-12-01 07:28:11 UTC",
    "workers": 2,
    "plan": "2 = set explicitly",
    "previous": "src-1",
    "log_fault": None,
    "python": "3.13.5",
    "certificate_days": 80,
    "processes": [],
}
PROCESS = {
    "name": "worker",
    "kind": "process",
    "unit": "shop.worker.1@blue.service",
    "state": "active",
    "since": "Tue 2026-12-01 07:28:11 UTC",
    "restarts": 0,
    "loops": False,
    "result": "success",
}


def test_the_status_of_a_live_app():
    assert status_lines(FOUND) == [
        "app          shop",
        "release      src-2",
        "slot         blue",
        "state        active",
        "since        2026-12-01 07:28",
        "workers      2 (plan: 2 = set explicitly)",
        "python       3.13.5",
        "config       c1",
        "rollback to  src-1",
        "certificate  expires in 80 days",
    ]


def test_the_status_of_an_app_without_a_live_release():
    nothing = dict.fromkeys(FOUND) | {
        "name": "shop",
        "state": "not deployed",
        "since": "",
        "workers": 0,
        "processes": [],
    }
    lines = status_lines({**nothing, "log_fault": "the log is damaged", "certificate_days": -1})
    assert "release      none is live" in lines
    assert "certificate  expired" in lines
    assert lines[-1] == "problem      the log is damaged"


def test_the_status_of_processes():
    looping = {**PROCESS, "restarts": 5, "loops": True, "result": "exit-code"}
    timer = {**PROCESS, "kind": "timer", "unit": "shop.cleanup@blue.timer", "last_success": None}
    assert status_lines({**FOUND, "processes": [PROCESS, looping, timer]})[-3:] == [
        "process      shop.worker.1@blue.service is active since 2026-12-01 07:28",
        "process      shop.worker.1@blue.service is active since 2026-12-01 07:28, restarted 5 times, in a loop, last result: exit-code",
        "timer        shop.cleanup@blue.timer is active since 2026-12-01 07:28, last success: none",
    ]


@pytest.fixture
def log():
    entry = {"slot": "blue", "at": "2026-12-01T07:28:11Z", "by": "jo"}
    log = with_live([], {**entry, "release": "src-1", "config": "c1"})
    log = with_live(log, {**entry, "release": "src-2", "config": "c1"})
    return with_bad(log, {**entry, "release": "src-3", "config": "c1"}, "it did not start\nTraceback")


def test_the_list_of_releases(log):
    found = history(log, Pair("src-2", "c1"), lambda pair: True)
    assert release_lines(found, staged="src-4") == [
        "release  config  activated         by  result   rollback          note",
        "src-3    c1      2026-12-01 07:28  jo  bad      by id, allow bad  it did not start",
        "src-2    c1      2026-12-01 07:28  jo  live",
        "src-1    c1      2026-12-01 07:28  jo  retired  next",
        "src-4 is staged, and has never been activated",
    ]


def test_an_empty_list_of_releases():
    assert release_lines([], staged=None) == ["no release has been activated on this host"]


def test_a_long_reason_is_shortened(log):
    log[-1]["reason"] = "x" * 1000
    [_headings, line, *_others] = release_lines(history(log, None, lambda pair: True))
    assert line.endswith("xxx...")
    assert len(line) < 200
