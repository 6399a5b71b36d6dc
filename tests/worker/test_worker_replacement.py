"""Workers come and go under load: as many as are wanted serve at all times, and no request is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest

from worker.clients import load
from worker.matrix import NEWEST
from worker.service import wait_for

# what a stop would wait for in vain
LONG = 60
# for what must not happen meanwhile
A_WHILE = 1


def test_a_reload(start):
    service = start()
    with load(service.address) as counts:
        for _time in range(3):
            service.reload()

    assert counts.lost == []
    assert counts.answered > 1000
    assert service.fewest_serving() == 2


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
def test_the_stock_worker_loses_requests(start):
    """The control: else the zeros of the other tests would prove nothing."""
    service = start(stock="uvicorn_worker.UvicornWorker")
    wait_for("its workers", lambda: len(service.serving()) == 2)
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
        wait_for("as many replacements", lambda: service.said("This worker drains") >= max(2, workers))

    assert counts.lost == []
    assert service.fewest_serving() >= workers
    wait_for("the surplus to go", lambda: len(service.workers()) == workers)


@pytest.mark.parametrize("boots", ["not", "crashes"])
def test_recycling_into_a_release_that_does_not_boot(start, boots):
    service = start(max_requests=200)
    old = service.workers()
    service.release(boots)
    with load(service.address) as counts:
        wait_for("a replacement to fail, and another", lambda: service.said("Booting worker") >= 4)
        tried = service.said("Booting worker")
        time.sleep(A_WHILE)

    assert counts.lost == []
    assert service.serving() == old
    assert service.said("Booting worker") <= tried + 2, "the master spins"
    if boots == "crashes":
        service.release("well")
        wait_for("a replacement", lambda: service.serving() - old)


@pytest.mark.parametrize("boots", ["not", "without its lifespan", "crashes", "hangs", "with a lifespan that hangs"])
def test_a_reload_to_a_release_that_does_not_boot(start, boots):
    """The old workers serve on, also when a TERM is sent to them once more; a stop does not wait for the new ones."""
    service = start(graceful_timeout=LONG, timeout=LONG)
    old = service.workers()
    service.release(boots)
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.said("Booting worker") == 4)
        if "hangs" not in boots:
            wait_for("their end", lambda: service.workers() == old)
        for pid in old:
            os.kill(pid, signal.SIGTERM)
        time.sleep(A_WHILE)

    assert counts.lost == []
    assert service.serving() == old
    assert service.said("Booting worker") == 4
    assert service.stop() < LONG / 2


def test_a_reload_after_one_that_hangs(start):
    service = start(graceful_timeout=5)
    old = service.workers()
    service.release("hangs")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.said("Booting worker") == 4)
        service.release("well")
        service.reload()

    assert counts.lost == []
    assert service.fewest_serving() == 2
    wait_for("those that hang to go", lambda: service.workers() == service.serving())
    assert not service.workers() & old


def test_reloads_that_overlap_each_other_and_recycling(start):
    service = start(max_requests=400, graceful_timeout=8)
    service.release("slowly")
    with load(service.address) as counts:
        wait_for("a worker at its limit", lambda: service.said("has answered its 400 requests"))
        first = service.workers()
        for _time in range(3):
            service.send(signal.SIGHUP)
            time.sleep(0.3)
        wait_for("the reloads", lambda: service.said("Hang up") == 3)
        wait_for("the first workers to go", lambda: not service.workers() & first)

    assert counts.lost == []
    assert service.fewest_serving() >= 2
    wait_for("the surplus to go", lambda: len(service.workers()) == len(service.serving()) == 2)


def test_a_replacement_that_is_killed(start):
    service = start(graceful_timeout=5)
    old = service.workers()
    service.release("slowly")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the replacements", lambda: len(service.workers() - old) == 2)
        os.kill(max(service.workers() - old), signal.SIGKILL)
        wait_for("the old workers to go", lambda: not service.workers() & old)

    assert counts.lost == []
    assert service.fewest_serving() == 2
    wait_for("the surplus to go", lambda: len(service.workers()) == len(service.serving()) == 2)


DIES_AT_ONCE = """
import os, signal, time

def pre_fork(server, worker):
    roster = asgi_deploy_master.ROSTER
    new = [pid for pid, each in server.WORKERS.items() if roster._generations[each.row] == roster.generation]
    if roster.generation and new and not hasattr(server, "test_killed"):
        server.test_killed = new[0]
        os.kill(new[0], signal.SIGKILL)
        time.sleep(0.5)  # it is reaped meanwhile
"""


def test_a_replacement_that_dies_before_the_old_workers_are_told_to_go(start):
    """Gunicorn tells as many to go as are surplus then, which is one less."""
    # gunicorn from 24 on waits as long for the old ones before it looks whether there are enough new ones
    service = start(more=DIES_AT_ONCE, graceful_timeout=5)
    with load(service.address) as counts:
        service.reload()

    assert counts.lost == []
    assert service.fewest_serving() == 2
    wait_for("the surplus to go", lambda: len(service.workers()) == len(service.serving()) == 2)


def test_workers_that_are_told_to_go_both_at_once(start):
    service = start()
    service.release("slowly")
    old = service.workers()
    with load(service.address) as counts:
        for pid in old:
            os.kill(pid, signal.SIGTERM)
        wait_for("them to go", lambda: not service.workers() & old)

    assert counts.lost == []
    assert service.fewest_serving() == 2


def test_more_and_fewer_workers(start):
    service = start()
    with load(service.address) as counts:
        for sig, number in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2)):
            service.send(sig)
            wait_for(f"{number} workers", lambda n=number: len(service.workers()) == len(service.serving()) == n)
        time.sleep(A_WHILE)

    assert counts.lost == []
    assert len(service.serving()) == 2
    assert service.said("Booting worker") == 4, "some were replaced that need not be"


def test_a_stop_and_a_start_over_the_held_socket(start):
    service = start()
    with load(service.address) as counts:
        service.stop()
        service.start()
        time.sleep(0.5)

    assert counts.lost == []
    assert counts.answered > 500
