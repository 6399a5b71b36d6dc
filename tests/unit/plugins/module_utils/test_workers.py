"""When a reload counts as done."""

from __future__ import annotations

import os

from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Unit
from ansible_collections.asgi.deploy.plugins.module_utils.workers import children, serving, wait_replaced

OLD = {1, 2}


def wait(history, timeout=30.0):
    """Run wait_replaced over *history*, one set of workers each second, the last one for ever."""
    clock = [0.0]

    def sleep(_seconds):
        clock[0] += 1.0

    def current():
        return history[min(int(clock[0]), len(history) - 1)]

    return wait_replaced(OLD, current, timeout, clock=lambda: clock[0], sleep=sleep)


def test_all_replaced():
    assert wait([{1, 2}, {1, 2, 3, 4}, {2, 3, 4}, {3, 4}]) is None


def test_fewer_new_ones_than_there_were_is_not_done():
    assert "0 of 2 old workers" in wait([{1, 2, 3}, {3}])


def test_an_old_one_that_does_not_go_is_named():
    assert "1 of 2 old workers are still there: [2]" in wait([{1, 2, 3, 4}, {2, 3, 4}])


def test_replacements_that_die_are_noticed_before_the_time_is_over():
    assert "did not boot" in wait([{1, 2}, {1, 2, 3, 4}, {1, 2, 3}, {1, 2}], timeout=1000)


def test_this_process():
    assert os.getpid() in children(os.getppid())
    assert children(2**22 + 1) == set()


def test_who_serves():
    """A master's workers; the main process itself if it can replace nobody in place."""
    unit = Unit("hello@blue.service", "active", "running", True, False, os.getppid(), "")
    assert serving(unit) == children(os.getppid())
    assert serving(unit._replace(can_reload=False)) == {os.getppid()}
    assert serving(unit._replace(can_reload=False, main_pid=0)) == set()
