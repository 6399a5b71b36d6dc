"""Detection of workers, and of the end of a reload."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import (
    children,
    group_and_session,
    is_worker,
    reload_number,
    serving,
    wait_replaced,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Unit

OLD = {1, 2}


def wait(history, timeout=30.0, begins=0.0):
    """Run wait_replaced with *history*: one set of workers per second, then the last one repeatedly."""
    clock = [0.0]

    def sleep(_seconds):
        clock[0] += 1.0

    def current():
        return history[min(int(clock[0]), len(history) - 1)]

    return wait_replaced(OLD, current, timeout, lambda: clock[0] >= begins, clock=lambda: clock[0], sleep=sleep)


def test_all_replaced():
    assert wait([{1, 2}, {1, 2, 3, 4}, {2, 3, 4}, {3, 4}]) is None


def test_reload_waits_for_all_new_workers():
    assert "0 of 2 old workers" in wait([{1, 2, 3}, {3}])


def test_remaining_old_worker_is_reported():
    assert "1 of 2 old workers still run: [2]" in wait([{1, 2, 3, 4}, {2, 3, 4}])


def test_dead_new_workers_are_detected_before_the_timeout():
    assert "did not boot" in wait([{1, 2}, {1, 2, 3, 4}, {1, 2, 3}, {1, 2}], timeout=1000)


def test_reload_waits_for_a_running_reload():
    """While another reload runs, the set of workers may stay the same, and the timeout of the requested reload does not start."""
    pending = [{1, 2}] * 20

    assert wait([*pending, {1, 2, 3, 4}, {3, 4}], begins=20) is None
    assert "1 of 2 old workers still run" in wait([*pending, *[{2, 3, 4}] * 40], begins=20)
    assert wait(pending, begins=1000) == "the reload has not begun within 30 s, because another one is still running"


@pytest.mark.parametrize(
    ("status", "number"),
    [("2 workers serve, reload 12", 12), ("reload 3 began", 3), ("2 workers serve", None), ("", None)],
)
def test_reload_number(status, number):
    assert reload_number(status) == number


@pytest.mark.parametrize(
    ("ids", "worker"),
    [
        ((100, 10), True),
        ((10, 10), True),  # a worker of an earlier version, or one that was just forked
        ((99, 10), False),  # in the process group of a worker
        ((100, 100), False),  # a daemon
        (None, False),  # the process has ended
    ],
)
def test_worker_detection(ids, worker):
    assert is_worker(100, ids, (10, 10)) is worker


def test_a_process_has_a_group_and_a_session():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as started:
        assert group_and_session(started.pid) == (started.pid, started.pid)
        started.kill()
    assert group_and_session(2**22 + 1) is None


def test_this_process():
    assert os.getpid() in children(os.getppid())
    assert children(2**22 + 1) == set()


def test_serving_processes():
    """The workers of a master, or the main process of a server with a single process."""
    with (
        subprocess.Popen(["sleep", "60"], preexec_fn=os.setpgrp) as worker,  # noqa: PLW1509 - process_group needs Python 3.11
        subprocess.Popen(["sleep", "60"], start_new_session=True) as daemon,
    ):
        unit = Unit("hello@blue.service", "active", "running", True, False, os.getpid(), "")
        assert worker.pid in serving(unit)
        assert daemon.pid not in serving(unit)
        assert serving(unit._replace(can_reload=False)) == {os.getpid()}
        assert serving(unit._replace(can_reload=False, main_pid=0)) == set()
        worker.kill()
        daemon.kill()
