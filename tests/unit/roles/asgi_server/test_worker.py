"""The drain worker's decisions; what it does to real traffic is for Molecule to see."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app/configs"


def load(name):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker = load("asgi_deploy_worker")
log = load("asgi_deploy_logging")
State, Verdict = worker.State, worker.Verdict
B, S, L, G = State.BOOTING, State.SERVING, State.LEAVING, State.GONE


@pytest.mark.parametrize(
    ("replacements", "verdict"),
    [
        ([B, B], Verdict.WAIT),
        ([S, B], Verdict.WAIT),
        ([G, B], Verdict.WAIT),  # one died, its successor boots
        ([S, S], Verdict.LEAVE),
        ([S, S, B], Verdict.LEAVE),
        ([S], Verdict.LEAVE),  # fewer workers from now on
        ([S, G], Verdict.LEAVE),
        ([L, L], Verdict.LEAVE),  # the service stops
        ([L, G], Verdict.LEAVE),
        ([G, G], Verdict.STAY),  # the new release does not boot
        ([], Verdict.STAY),
    ],
)
def test_what_a_worker_does_that_is_asked_to_go(replacements, verdict):
    assert worker.judge(replacements, wanted=2) is verdict


def test_the_roster_knows_generations():
    roster = worker.Roster()
    roster.enlist(1)
    roster.enlist(2)
    roster.mark(1, S)
    roster.begin_generation()
    roster.enlist(3)

    assert roster.states(since=0) == [S, B, B]
    assert roster.states(since=1) == [B]
    assert roster.generation_of(2) == 0
    assert roster.generation_of(3) == 1


def test_the_roster_reuses_rows_and_never_marks_a_stranger():
    roster = worker.Roster()
    for age in range(1, roster.ROWS + 3):
        roster.enlist(age)

    roster.mark(2, G)  # its row belongs to the worker of age ROWS + 2 now

    assert len(roster.states(since=0)) == roster.ROWS
    assert G not in roster.states(since=0)


def test_the_roster_is_shared_with_forks():
    roster = worker.Roster()
    roster.enlist(1)
    pid = os.fork()
    if pid == 0:
        roster.mark(1, S)
        os._exit(0)
    os.waitpid(pid, 0)

    assert roster.states(since=0) == [S]


def test_systemds_address_is_kept_from_the_arbiter(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")

    worker.on_starting(None)

    assert "NOTIFY_SOCKET" not in os.environ
    assert os.environ.pop("ASGI_DEPLOY_NOTIFY_SOCKET") == "/run/systemd/notify"


def formatted(formatter, **fields):
    return json.loads(formatter.format(logging.makeLogRecord(fields)))


def test_a_record_is_one_line_of_json():
    entry = formatted(log.JsonFormatter(), name="app", levelname="INFO", msg="a\n%s", args=("b",), order=7)

    assert (entry["logger"], entry["level"], entry["message"], entry["order"]) == ("app", "info", "a\nb", 7)
    assert entry["time"].endswith("+00:00")


def test_an_exception_comes_along():
    exception = KeyError("x")

    entry = formatted(log.JsonFormatter(), msg="no", exc_info=(KeyError, exception, None))

    assert entry["exception"] == "KeyError: 'x'"


def test_the_access_log_leaves_the_query_out():
    record = {
        "name": "uvicorn.access",
        "msg": '%s - "%s %s HTTP/%s" %d',
        "args": ("::1", "GET", "/a?token=s", "1.1", 200),
    }

    entry = formatted(log.AccessFormatter(), **record)

    assert (entry["message"], entry["status"], entry["client"]) == ("GET /a 200", 200, "::1")
    assert "token" not in json.dumps(entry)


@pytest.mark.parametrize(("access_log", "handlers"), [(True, ["access"]), (False, [])])
def test_the_access_log_is_a_switch(access_log, handlers):
    assert log.logging_config("info", access_log)["loggers"]["gunicorn.access"]["handlers"] == handlers
