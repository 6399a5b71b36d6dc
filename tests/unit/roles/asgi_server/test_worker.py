"""The drain worker's decisions; what it does to real processes is in tests/worker."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

CONFIGS = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app/configs"


# as the configuration of a slot does
sys.path.append(str(CONFIGS))
process, master, uvicorn, worker = (
    importlib.import_module(f"asgi_deploy_{name}") for name in ("process", "master", "uvicorn", "worker")
)
log = importlib.import_module("asgi_deploy_logging")
FREE, BOOTING, SERVING, GOING = master.State


class Arbiter:
    """As much of gunicorn's as the hooks know."""

    def __init__(self, workers):
        self.num_workers = workers
        self.WORKERS = {}
        self.cfg = SimpleNamespace(workers=workers)


def test_no_process_is_gone_through_for_garbage_before_it_ends():
    program = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count())); import asgi_deploy_process"

    said = subprocess.check_output([sys.executable, "-c", program], env={"PYTHONPATH": str(CONFIGS)}, text=True)

    assert int(said) > 1000


@pytest.fixture
def roster(monkeypatch):
    roster = master.Roster()
    monkeypatch.setattr(master, "ROSTER", roster)
    monkeypatch.setattr(master, "_room", 0)
    return roster


def fill(roster, *generations):
    """Give the roster these generations of workers, each as the states of its workers."""
    for generation, states in enumerate(generations):
        roster.generation = generation
        for state in states:
            roster.mark(roster.enlist(), state)


@pytest.mark.parametrize(
    ("generations", "room"),
    [
        ([[SERVING, SERVING]], 0),
        ([[SERVING, GOING]], 1),
        ([[GOING, GOING]], 2),  # both are at their limit
        ([[SERVING, GOING, BOOTING]], 1),
        # a HUP: the old ones have to go, all of them
        ([[GOING, GOING], [BOOTING, BOOTING]], 0),
        ([[SERVING, GOING], [BOOTING, BOOTING]], 0),
        ([[GOING, GOING], []], 0),  # the new ones did not boot
        # the new ones do boot: what is missing of them has room
        ([[GOING, GOING], [SERVING]], 2),
        ([[GOING, GOING], [SERVING, SERVING]], 2),
        ([[GOING], [GOING, SERVING]], 2),
        # one HUP after another
        ([[GOING, GOING], [GOING, BOOTING], [BOOTING, BOOTING]], 0),
    ],
)
def test_the_room_for_those_on_their_way_out(roster, generations, room):
    fill(roster, *generations)

    assert roster.room() == room


@pytest.mark.parametrize(
    ("generations", "rows"),
    [
        ([[SERVING, SERVING]], []),
        ([[GOING, GOING], [BOOTING, SERVING]], []),
        # one of the new ones died before gunicorn had counted who is surplus
        ([[GOING, SERVING], [BOOTING]], [1]),
        # a release that does not boot: they have been told, and serve on
        ([[GOING, GOING], []], []),
    ],
)
def test_who_has_outlived_a_reload(roster, generations, rows):
    fill(roster, *generations)

    assert [row for row in range(4) if roster.outlived(row)] == rows


@pytest.mark.parametrize(
    ("states", "wanted", "enough"),
    [
        ([SERVING, GOING], 1, True),
        ([SERVING, GOING], 2, False),
        ([GOING, BOOTING], 1, False),
        ([SERVING, SERVING, GOING], 2, True),
        ([SERVING, SERVING, GOING], 1, True),  # fewer from now on
    ],
)
def test_who_is_to_go_may_when_enough_others_serve(roster, states, wanted, enough):
    fill(roster, states)
    roster.wanted = wanted

    assert roster.enough_serve() is enough


def test_the_master_makes_room_and_takes_it_back(roster):
    arbiter = Arbiter(workers=2)
    fill(roster, [GOING, SERVING])

    master.make_room(arbiter)
    assert (arbiter.num_workers, roster.wanted) == (3, 2)

    master.make_room(arbiter)
    assert (arbiter.num_workers, roster.wanted) == (3, 2)

    arbiter.num_workers += 1  # TTIN
    master.make_room(arbiter)
    assert (arbiter.num_workers, roster.wanted) == (4, 3)

    roster.mark(0, FREE)
    master.make_room(arbiter)
    assert (arbiter.num_workers, roster.wanted) == (3, 3)


def test_making_room_may_interrupt_itself(roster):
    """Two workers tell at once that they go: the second signal is handled while the first is."""

    class Interrupted(Arbiter):
        def __setattr__(self, name, value):
            if name == "num_workers" and roster.count(GOING) == 1:
                roster.mark(1, GOING)
                master.make_room(self)
            super().__setattr__(name, value)

    arbiter = Interrupted(workers=2)
    fill(roster, [GOING, SERVING])

    master.make_room(arbiter)

    assert (arbiter.num_workers, roster.wanted) == (4, 2)


def test_the_last_worker_is_not_scaled_away(roster):
    arbiter = Arbiter(workers=1)
    fill(roster, [GOING])
    master.make_room(arbiter)

    arbiter.num_workers -= 1  # TTOU, which gunicorn takes as there are two
    master.make_room(arbiter)

    assert roster.wanted == 1


def test_a_reload_begins_a_generation_without_room(roster):
    arbiter = Arbiter(workers=2)
    fill(roster, [GOING, SERVING])
    master.make_room(arbiter)
    arbiter.num_workers = arbiter.cfg.workers = 3  # gunicorn has read its configuration again
    roster.boot_failed = True

    master.on_reload(arbiter)
    master.make_room(arbiter)

    assert (arbiter.num_workers, roster.wanted, roster.boot_failed) == (3, 3, False)


@pytest.mark.parametrize(("state", "failed"), [(BOOTING, True), (SERVING, False), (GOING, False)])
def test_the_master_notes_who_died_of_booting(roster, state, failed):
    fill(roster, [state])

    master.child_exit(Arbiter(workers=1), SimpleNamespace(row=0))

    assert bool(roster.boot_failed) is failed
    assert roster.state(0) is FREE


def test_rows_of_the_dead_are_used_again(roster):
    rows = [roster.enlist() for _time in range(3)]
    roster.mark(rows[1], FREE)

    assert roster.enlist() == rows[1]


def test_the_roster_is_shared_with_forks(roster):
    row = roster.enlist()
    pid = os.fork()
    if pid == 0:
        roster.mark(row, SERVING)
        roster.stopping = True
        os._exit(0)
    os.waitpid(pid, 0)

    assert roster.state(row) is SERVING
    assert roster.stopping


TESTED = {"gunicorn": ((23, 0), (27, 999)), "uvicorn": ((0, 34), (0, 54))}
OLDEST = {"gunicorn": "23.0.0", "uvicorn": "0.34.0"}
NEWEST = {"gunicorn": "27.0.1", "uvicorn": "0.54.0"}


@pytest.mark.parametrize(
    ("installed", "newer"),
    [
        (OLDEST, []),
        (NEWEST, []),
        (NEWEST | {"gunicorn": "28.0.0"}, ["gunicorn 28.0.0"]),
        (NEWEST | {"uvicorn": "0.55.0rc1"}, ["uvicorn 0.55.0rc1"]),
    ],
)
def test_versions_that_may_work(installed, newer):
    assert process.check_versions(TESTED, installed) == newer


@pytest.mark.parametrize(
    ("installed", "sentence"),
    [
        (OLDEST | {"gunicorn": "22.0.0"}, "gunicorn 22.0.0 is too old for asgi_deploy: use 23.0 or newer"),
        (OLDEST | {"uvicorn": "0.33.1"}, "uvicorn 0.33.1 is too old for asgi_deploy: use 0.34 or newer"),
    ],
)
def test_versions_that_cannot_work(installed, sentence):
    with pytest.raises(ImportError, match=re.escape(sentence)):
        process.check_versions(TESTED, installed)


def test_versions_that_do_not_go_together():
    worker.check_pair("0.35.0", "0.3.0")
    with pytest.raises(ImportError, match=re.escape("uvicorn 0.36.0 needs uvicorn-worker 0.4, not 0.3.0")):
        worker.check_pair("0.36.0", "0.3.0")


def test_a_server_that_has_changed_is_refused():
    with pytest.raises(ImportError, match="this version of uvicorn is not supported: .* has no on_tock"):
        process.check_names({uvicorn.Server: ("on_tick", "on_tock")}, "uvicorn")


def test_a_handshake_announces_no_end():
    state = uvicorn.ServerState()
    state.default_headers = [(b"server", b"uvicorn"), uvicorn.CLOSE]

    def connection(config, server_state, app_state):
        return server_state

    seen = uvicorn.without_announcement(connection)(config=None, server_state=state, app_state={})

    assert seen.default_headers == [(b"server", b"uvicorn")]
    assert seen.connections is state.connections
    assert uvicorn.CLOSE in state.default_headers


def test_systemds_address_is_kept_from_the_arbiter(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")

    master.on_starting(None)

    assert "NOTIFY_SOCKET" not in os.environ
    assert os.environ.pop("ASGI_DEPLOY_NOTIFY_SOCKET") == "/run/systemd/notify"


def test_a_systemd_that_does_not_listen_holds_nobody_up(monkeypatch, tmp_path):
    address = str(tmp_path / "notify")
    monkeypatch.setenv("ASGI_DEPLOY_NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        for _time in range(10_000):  # more than any queue holds
            process.feed_watchdog()

        assert systemd.recv(100) == b"WATCHDOG=1"


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


def test_the_role_gives_the_worker_the_time_that_it_counts_on_for_closing():
    variables = yaml.safe_load((CONFIGS.parents[3] / "vars/main.yml").read_text(encoding="utf-8"))
    assert variables["__asgi_server_closing_seconds"] == process.CLOSING_SECONDS
