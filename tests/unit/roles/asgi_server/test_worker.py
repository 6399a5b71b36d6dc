"""The decisions of the drain worker; tests/worker tests the worker with real processes."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

CONFIGS = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app/configs"


# The configuration of a slot extends sys.path in the same way.
sys.path.append(str(CONFIGS))
process, leftovers, master, uvicorn, worker = (
    importlib.import_module(f"asgi_deploy_{name}") for name in ("process", "leftovers", "master", "uvicorn", "worker")
)
log = importlib.import_module("asgi_deploy_logging")
FREE, BOOTING, SERVING, GOING = master.State


class Arbiter:
    """The attributes of gunicorn's Arbiter that the hooks use."""

    def __init__(self, workers):
        self.num_workers = workers
        self.WORKERS = {}
        self.cfg = SimpleNamespace(workers=workers)


def test_exit_skips_the_garbage_collection():
    program = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count())); import asgi_deploy_process"

    output = subprocess.check_output([sys.executable, "-c", program], env={"PYTHONPATH": str(CONFIGS)}, text=True)

    assert int(output) > 1000


@pytest.fixture
def roster(monkeypatch):
    roster = master.Roster()
    monkeypatch.setattr(master, "ROSTER", roster)
    monkeypatch.setattr(master, "_room", 0)
    return roster


def fill(roster, *generations):
    """Add *generations* of workers to the roster; each is a list of states."""
    for generation, states in enumerate(generations):
        roster.generation = generation
        for state in states:
            roster.mark(roster.enlist(), state)


@pytest.mark.parametrize(
    ("generations", "room"),
    [
        ([[SERVING, SERVING]], 0),
        ([[SERVING, GOING]], 1),
        ([[GOING, GOING]], 2),  # both have reached max_requests
        ([[SERVING, GOING, BOOTING]], 1),
        # after a HUP, all old workers leave
        ([[GOING, GOING], [BOOTING, BOOTING]], 0),
        ([[SERVING, GOING], [BOOTING, BOOTING]], 0),
        ([[GOING, GOING], []], 0),  # the new workers did not boot
        # a new worker serves, so the missing workers may start
        ([[GOING, GOING], [SERVING]], 2),
        ([[GOING, GOING], [SERVING, SERVING]], 2),
        ([[GOING], [GOING, SERVING]], 2),
        # several HUPs
        ([[GOING, GOING], [GOING, BOOTING], [BOOTING, BOOTING]], 0),
    ],
)
def test_number_of_extra_workers(roster, generations, room):
    fill(roster, *generations)

    assert roster.room() == room


@pytest.mark.parametrize(
    ("generations", "rows"),
    [
        ([[SERVING, SERVING]], []),
        ([[GOING, GOING], [BOOTING, SERVING]], []),
        # a new worker died before gunicorn counted the surplus workers
        ([[GOING, SERVING], [BOOTING]], [1]),
        # the release does not boot, so the old workers keep serving although they received SIGTERM
        ([[GOING, GOING], []], []),
    ],
)
def test_outlived_workers(roster, generations, rows):
    fill(roster, *generations)

    assert [row for row in range(4) if roster.outlived(row)] == rows


@pytest.mark.parametrize(
    ("states", "wanted", "enough"),
    [
        ([SERVING, GOING], 1, True),
        ([SERVING, GOING], 2, False),
        ([GOING, BOOTING], 1, False),
        ([SERVING, SERVING, GOING], 2, True),
        ([SERVING, SERVING, GOING], 1, True),  # the wanted number was reduced
    ],
)
def test_worker_may_leave_when_enough_others_serve(roster, states, wanted, enough):
    fill(roster, states)
    roster.wanted = wanted

    assert roster.enough_serve() is enough


def test_master_adds_and_removes_extra_workers(roster):
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
    """Two workers leave at the same time: the second signal interrupts the handler of the first."""

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


def test_last_worker_is_kept(roster):
    arbiter = Arbiter(workers=1)
    fill(roster, [GOING])
    master.make_room(arbiter)

    arbiter.num_workers -= 1  # TTOU, which gunicorn accepts because two workers run
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
def test_master_records_a_failed_boot(roster, state, failed):
    fill(roster, [state])

    master.child_exit(Arbiter(workers=1), SimpleNamespace(row=0))

    assert bool(roster.boot_failed) is failed
    assert roster.state(0) is FREE


@pytest.mark.parametrize(
    ("code", "states", "ends"),
    [
        # the worker was booting, and no other worker serves
        (3, [BOOTING], True),
        (0, [BOOTING, BOOTING], True),
        (-signal.SIGSEGV, [BOOTING], True),
        # the worker received SIGTERM, or the OOM killer ended it
        (-signal.SIGTERM, [BOOTING], False),
        (-signal.SIGKILL, [BOOTING], False),
        # other workers serve
        (3, [BOOTING, SERVING], False),
        (4, [BOOTING, GOING], False),
        # the worker had booted
        (3, [SERVING], False),
        (4, [GOING], False),
        (-signal.SIGSEGV, [SERVING, BOOTING], False),
    ],
)
def test_end_of_a_booting_worker_can_end_the_service(roster, code, states, ends):
    fill(roster, states)

    assert master.ends_service(roster, roster.state(0), code) is ends


@pytest.mark.parametrize(
    ("generations", "reloading"),
    [
        ([[SERVING, SERVING]], False),
        ([[SERVING, GOING]], False),  # recycling
        ([[BOOTING, SERVING]], True),
        ([[GOING, GOING], [BOOTING, BOOTING]], True),
        ([[GOING], [SERVING, SERVING]], True),  # an old worker drains
        ([[], [SERVING, SERVING]], False),
        ([[GOING, GOING], []], False),  # the new workers have failed
        ([[GOING], [GOING], [SERVING]], True),
    ],
)
def test_reload_is_running_until_old_workers_exit(roster, generations, reloading):
    fill(roster, *generations)

    assert roster.reloading() is reloading


class Gunicorn:
    """The parts of gunicorn's master that a reload uses."""

    def __init__(self):
        self.cfg = SimpleNamespace(graceful_timeout=30)
        self.reloads = self.wakeups = 0

    def handle_hup(self):
        self.reloads += 1

    def wakeup(self):
        self.wakeups += 1


def test_concurrent_reload_requests_are_coalesced(roster):
    gunicorn = Gunicorn()
    reloads = master.Reloads(gunicorn)

    def request(times):
        for _time in range(times):
            reloads.request(signal.SIGHUP, None)
            reloads.begin_if_due()

    fill(roster, [SERVING])
    reloads.begin_if_due()
    assert gunicorn.reloads == 0
    request(1)
    fill(roster, [GOING], [BOOTING])
    request(50)
    assert (gunicorn.reloads, gunicorn.wakeups) == (1, 51)
    roster.mark(1, SERVING), roster.mark(0, FREE), roster.mark(2, FREE)
    for _time in range(3):
        reloads.begin_if_due()
    assert gunicorn.reloads == 2


def test_reload_ends_after_the_timeout_and_not_during_a_stop(roster, monkeypatch):
    gunicorn = Gunicorn()
    reloads = master.Reloads(gunicorn)
    fill(roster, [GOING], [BOOTING])
    reloads.request()
    reloads.begin_if_due()
    assert gunicorn.reloads == 0

    now = time.monotonic()
    monkeypatch.setattr(master.time, "monotonic", lambda: now + 31)
    reloads.begin_if_due()
    assert gunicorn.reloads == 1

    roster.stopping = True
    monkeypatch.setattr(master.time, "monotonic", lambda: now + 100)
    reloads.request()
    reloads.begin_if_due()
    assert gunicorn.reloads == 1


# Process groups of adopted processes: worker 1 started process 5, worker 2 started 6; 7 has left its worker's group, and 8 has ended.
GROUPS = {5: 1, 6: 2, 7: 7, 8: 0}


@pytest.mark.parametrize(
    ("detached", "ended", "living", "found"),
    [
        ({}, {1: True}, {2}, {5: True, 7: True, 8: True}),
        # worker 1 ended on request, so its child processes get time to end
        ({}, {1: False}, {2}, {5: False, 7: False, 8: False}),
        ({}, {1: False, 2: True}, set(), {5: False, 6: True, 7: True, 8: True}),
        # processes that were adopted earlier may come from another worker
        ({6, 7, 8}, {1: True}, {3}, {5: True}),
        ({5, 6, 7, 8}, {1: True}, {3}, {5: True}),
    ],
)
def test_leftover_processes_of_a_worker(monkeypatch, detached, ended, living, found):
    monkeypatch.setattr(process, "group_of", GROUPS.get)

    assert leftovers.leftovers_of(set(GROUPS), set(detached), ended, living) == found


def test_forked_process_closes_only_connections(tmp_path):
    """Other sockets stay unchanged, even if the app sets a default timeout, because the worker shares them."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        client.connect(str(tmp_path / "socket"))
        connection, _address = listener.accept()
        first, second = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            socket.setdefaulttimeout(5)
            process._let_go({listener.getsockname()})
            same = socket.getdefaulttimeout() == 5 and first.getpeername() == "" and listener.getsockname()
            os._exit(0 if same and os.fstat(connection.fileno()).st_rdev == os.stat(os.devnull).st_rdev else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert all(os.get_blocking(each.fileno()) for each in (listener, connection, client, first, second))
        connection.close()
        assert client.recv(1) == b""
        first.close()
        second.close()


def test_rows_of_dead_workers_are_reused(roster):
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
def test_newer_versions_are_reported(installed, newer):
    assert process.check_versions(TESTED, installed) == newer


@pytest.mark.parametrize(
    ("installed", "sentence"),
    [
        (OLDEST | {"gunicorn": "22.0.0"}, "gunicorn 22.0.0 is too old for asgi_deploy: use 23.0 or newer"),
        (OLDEST | {"uvicorn": "0.33.1"}, "uvicorn 0.33.1 is too old for asgi_deploy: use 0.34 or newer"),
    ],
)
def test_old_versions_are_rejected(installed, sentence):
    with pytest.raises(ImportError, match=re.escape(sentence)):
        process.check_versions(TESTED, installed)


def test_incompatible_versions_are_rejected():
    worker.check_pair("0.35.0", "0.3.0")
    with pytest.raises(ImportError, match=re.escape("uvicorn 0.36.0 needs uvicorn-worker 0.4, not 0.3.0")):
        worker.check_pair("0.36.0", "0.3.0")


def test_unsupported_version_of_a_server_is_rejected():
    with pytest.raises(ImportError, match="this version of uvicorn is not supported: .* has no on_tock"):
        process.check_names({uvicorn.Server: ("on_tick", "on_tock")}, "uvicorn")


def test_handshake_has_no_connection_close():
    state = uvicorn.ServerState()
    state.default_headers = [(b"server", b"uvicorn"), uvicorn.CLOSE]

    def connection(config, server_state, app_state):
        return server_state

    seen = uvicorn.closing_cleanly(connection)(config=None, server_state=state, app_state={})

    assert seen.default_headers == [(b"server", b"uvicorn")]
    assert seen.connections is state.connections
    assert uvicorn.CLOSE in state.default_headers


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """Yield a socket that receives the notifications of this process to systemd."""
    address = str(tmp_path / "notify")
    monkeypatch.setattr(process, "_notify_socket", "")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.setblocking(False)
        process.store_notify_address()
        yield listening


def notifications(listening):
    messages = []
    while True:
        try:
            messages.append(listening.recv(1000).decode())
        except BlockingIOError:
            return messages


def test_notify_address_is_removed_from_the_environment(monkeypatch):
    monkeypatch.setattr(process, "_notify_socket", "")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")

    master.on_starting(None)

    # The arbiter, the workers and the app's child processes must not inherit the variable.
    assert "/run/systemd/notify" not in os.environ.values()


def test_a_full_notification_socket_does_not_block(systemd):
    for _time in range(10_000):  # more messages than the socket's queue holds
        process.feed_watchdog()

    assert systemd.recv(100) == b"WATCHDOG=1"


def test_the_master_reports_ready_when_all_workers_serve_and_only_once(roster, systemd, monkeypatch):
    monkeypatch.setattr(master, "_reported", "")
    roster.wanted = 2
    fill(roster, [SERVING, BOOTING])
    master.report_serving()
    assert notifications(systemd) == []

    roster.mark(1, SERVING)
    master.report_serving()
    master.report_serving()
    assert notifications(systemd) == ["READY=1\nSTATUS=2 workers serve, reload 0"]


def test_a_reload_is_reported_when_a_new_worker_serves(roster, systemd, monkeypatch):
    monkeypatch.setattr(master, "_reported", "")
    arbiter = Arbiter(workers=2)
    fill(roster, [SERVING, SERVING])
    roster.wanted = 2
    master.report_serving()
    master.on_reload(arbiter)
    master.report_serving()  # the old workers do not count
    assert notifications(systemd) == ["READY=1\nSTATUS=2 workers serve, reload 0", "STATUS=reload 1 began"]

    for _worker in range(2):
        roster.mark(roster.enlist(), SERVING)
    master.report_serving()
    assert notifications(systemd) == ["READY=1\nSTATUS=2 workers serve, reload 1"]


def test_a_failed_notification_is_retried(roster, systemd, monkeypatch):
    monkeypatch.setattr(master, "_reported", "")
    roster.wanted = 1
    fill(roster, [SERVING])
    for _time in range(10_000):
        process.feed_watchdog()
    master.report_serving()
    assert not any("READY" in message for message in notifications(systemd))

    master.report_serving()
    assert notifications(systemd) == ["READY=1\nSTATUS=1 workers serve, reload 0"]


def formatted(formatter, **fields):
    return json.loads(formatter.format(logging.makeLogRecord(fields)))


def test_a_record_is_one_line_of_json():
    entry = formatted(log.JsonFormatter(), name="app", levelname="INFO", msg="a\n%s", args=("b",), order=7)

    assert (entry["logger"], entry["level"], entry["message"], entry["order"]) == ("app", "info", "a\nb", 7)
    assert entry["time"].endswith("+00:00")


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
def test_access_log_can_be_disabled(access_log, handlers):
    assert log.logging_config("info", access_log)["loggers"]["gunicorn.access"]["handlers"] == handlers


def test_role_and_worker_use_the_same_closing_time():
    variables = yaml.safe_load((CONFIGS.parents[3] / "vars/main.yml").read_text(encoding="utf-8"))
    assert variables["__asgi_server_closing_seconds"] == process.CLOSING_SECONDS


def test_a_long_traceback_keeps_the_last_line_of_each_stack():
    stack = '  File "/srv/app/code/a.py", line 1, in f\n    f()\n' * 300
    header = "Traceback (most recent call last):\n"
    chained = "\nThe above exception was the direct cause of the following exception:\n\n"

    group = "    | ValueError: one of a group\n"

    text = log.shortened(
        f"{header}{stack}OperationalError: no file\n{group}{chained}{header}{stack}RuntimeError: no pool"
    )

    assert len(text) < log.LONGEST
    assert "\nOperationalError: no file\n" in text
    assert group in text
    assert text.endswith("RuntimeError: no pool")
