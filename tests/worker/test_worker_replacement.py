"""Replacement of workers under load: the configured number of workers serves at all times, and no request is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest

from worker.clients import load
from worker.matrix import NEWEST
from worker.service import wait_for

# a timeout that is too long for a stop to wait for
LONG = 60
# time in which an unexpected replacement of workers would show
A_WHILE = 1


def test_reload(start):
    service = start()
    with load(service.address) as counts:
        for _time in range(3):
            service.reload()

    assert counts.lost == []
    assert counts.answered > 1000
    assert service.fewest_serving() == 2


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
def test_stock_worker_loses_requests(start):
    """Positive control: the clients detect the requests that a stock worker loses."""
    service = start(stock="uvicorn_worker.UvicornWorker")
    wait_for("the workers", lambda: len(service.serving()) == 2)
    with load(service.address) as counts:
        for _time in range(20):
            service.reload()
            if counts.lost:
                break

    assert counts.lost


@pytest.mark.parametrize("workers", [1, 3])
def test_recycling(start, workers):
    service = start(workers=workers, max_requests=300)
    service.release("slowly")
    with load(service.address) as counts:
        wait_for("the replacements", lambda: service.logged("This worker drains") >= max(2, workers))

    assert counts.lost == []
    assert service.fewest_serving() >= workers
    wait_for("surplus workers to exit", lambda: len(service.workers()) == workers)


@pytest.mark.parametrize("boots", ["not", "crashes"])
def test_recycling_with_a_release_that_does_not_boot(start, boots):
    service = start(max_requests=200)
    old = service.workers()
    service.release(boots)
    with load(service.address) as counts:
        wait_for("two failed replacements", lambda: service.logged("Booting worker") >= 4)
        tried = service.logged("Booting worker")
        time.sleep(A_WHILE)

    assert counts.lost == []
    assert service.serving() == old
    assert service.logged("Booting worker") <= tried + 2, "the master starts workers without a pause"
    if boots == "crashes":
        service.release("well")
        wait_for("a replacement", lambda: service.serving() - old)


@pytest.mark.parametrize("boots", ["not", "without its lifespan", "crashes", "hangs", "with a lifespan that hangs"])
def test_reload_to_a_release_that_does_not_boot(start, boots):
    """The old workers continue even after a SIGTERM, and a stop does not wait for the new workers."""
    service = start(graceful_timeout=LONG, timeout=LONG)
    old = service.workers()
    service.release(boots)
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.logged("Booting worker") == 4)
        if "hangs" not in boots:
            wait_for("the end of the new workers", lambda: service.workers() == old)
        for pid in old:
            os.kill(pid, signal.SIGTERM)
        time.sleep(A_WHILE)

    assert counts.lost == []
    assert service.serving() == old
    assert service.logged("Booting worker") == 4
    assert service.stop() < LONG / 2


def test_reload_after_one_that_hangs(start):
    service = start(graceful_timeout=5)
    old = service.workers()
    service.release("hangs")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.logged("Booting worker") == 4)
        service.release("well")
        service.reload()

    assert counts.lost == []
    assert service.fewest_serving() == 2
    wait_for("the hanging workers to exit", lambda: service.workers() == service.serving())
    assert not service.workers() & old


def test_concurrent_reloads_and_recycling(start):
    service = start(max_requests=400, graceful_timeout=8)
    service.release("slowly")
    with load(service.address) as counts:
        wait_for("a worker at its limit", lambda: service.logged("has answered its 400 requests"))
        first = service.workers()
        for _time in range(3):
            service.send(signal.SIGHUP)
            time.sleep(0.3)
        wait_for("the reloads", lambda: service.logged("Hang up") >= 2)
        wait_for("the first workers to exit", lambda: not service.workers() & first)

    assert counts.lost == []
    assert service.fewest_serving() >= 2
    wait_for("surplus workers to exit", lambda: len(service.workers()) == len(service.serving()) == 2)


def test_killed_replacement_is_replaced(start):
    service = start(graceful_timeout=5)
    old = service.workers()
    service.release("slowly")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the replacements", lambda: len(service.workers() - old) == 2)
        os.kill(max(service.workers() - old), signal.SIGKILL)
        wait_for("the old workers to exit", lambda: not service.workers() & old)

    assert counts.lost == []
    assert service.fewest_serving() == 2
    wait_for("surplus workers to exit", lambda: len(service.workers()) == len(service.serving()) == 2)


DIES_AT_ONCE = """
import os, signal, time

def pre_fork(server, worker):
    roster = asgi_deploy_master.ROSTER
    new = [pid for pid, each in server.WORKERS.items() if roster._generations[each.row] == roster.generation]
    if roster.generation and new and not hasattr(server, "test_killed"):
        server.test_killed = new[0]
        os.kill(new[0], signal.SIGKILL)
        time.sleep(0.5)  # until the master has reaped it
"""


def test_replacement_that_dies_before_the_old_workers_are_stopped(start):
    """gunicorn counts the dead replacement as missing, and stops one old worker too few."""
    # Since version 24, gunicorn waits for graceful_timeout before it counts the new workers.
    service = start(more=DIES_AT_ONCE, graceful_timeout=5)
    with load(service.address) as counts:
        service.reload()

    assert counts.lost == []
    assert service.fewest_serving() == 2
    wait_for("surplus workers to exit", lambda: len(service.workers()) == len(service.serving()) == 2)


def test_both_workers_stopped_at_once(start):
    service = start()
    service.release("slowly")
    old = service.workers()
    with load(service.address) as counts:
        for pid in old:
            os.kill(pid, signal.SIGTERM)
        wait_for("both workers to exit", lambda: not service.workers() & old)

    assert counts.lost == []
    assert service.fewest_serving() == 2


def test_number_of_workers_changes_by_signals(start):
    service = start()
    with load(service.address) as counts:
        for sig, number in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2)):
            service.send(sig)
            wait_for(f"{number} workers", lambda n=number: len(service.workers()) == len(service.serving()) == n)
        time.sleep(A_WHILE)

    assert counts.lost == []
    assert len(service.serving()) == 2
    assert service.logged("Booting worker") == 4, "workers were replaced unnecessarily"


def test_restart_with_the_socket_held_open_loses_no_request(start):
    service = start()
    with load(service.address) as counts:
        service.stop()
        service.start()
        time.sleep(0.5)

    assert counts.lost == []
    assert counts.answered > 500
