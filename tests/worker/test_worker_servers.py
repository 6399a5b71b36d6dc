"""The other servers, and what becomes of a process that hangs; the default one's reloads are tested beside."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from worker.clients import Connection, load
from worker.matrix import NEWEST, OLDEST_THREADS
from worker.service import wait_for

LONG = 60
# gunicorn's to find out that a worker hangs
HANGS_AFTER = 3

THREADS = {"server": "gthread", "threads": 4}
GUNICORNS = [
    pytest.param(NEWEST, {"server": "uvicorn_worker"}, id="uvicorn_worker"),
    pytest.param(NEWEST, {"server": "gunicorn_asgi"}, id="gunicorn_asgi"),
    pytest.param(NEWEST, THREADS, id="gthread"),
]
OLDEST_GUNICORNS = [pytest.param(OLDEST_THREADS, THREADS, id="gthread-oldest")]
SINGLE = pytest.param(NEWEST, {"server": "uvicorn"}, id="uvicorn")


def servers(*params):
    return pytest.mark.parametrize(("corner", "server"), params, indirect=["corner"])


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, LONG))


@servers(*GUNICORNS[1:], *OLDEST_GUNICORNS)
def test_reloads_and_recycling(start, server):
    service = start(**server, max_requests=1500, max_requests_jitter=500)
    with load(service.address) as counts:
        for _time in range(3):
            service.reload()
        wait_for("recycled workers", lambda: service.said("This worker drains") >= 8)

    assert counts.lost == []
    assert counts.answered > 1000
    assert service.said("WORKER TIMEOUT") == 0


@servers(*GUNICORNS[1:], SINGLE)
def test_a_stop_and_a_start_over_the_held_socket(start, server):
    service = start(**server)
    with load(service.address) as counts:
        for _time in range(2):
            service.stop()
            service.start()
        time.sleep(0.5)

    assert counts.lost == []
    assert counts.answered > 300


@servers(*GUNICORNS[1:], *OLDEST_GUNICORNS, SINGLE)
def test_each_answer_announces_the_end_and_none_is_cut(start, server):
    """What comes on a kept connection is answered, and so is what was under way."""
    alone = {} if server["server"] == "uvicorn" else {"workers": 1}
    service = start(**server, **alone, graceful_timeout=LONG)

    async def scenario():
        idle, busy = [await Connection.open(service.address) for _time in range(2)]
        before = await idle.ask("/")
        await busy.send("/gate")
        await asyncio.sleep(0.5)
        os.kill(next(iter(service.workers()), service.master), signal.SIGTERM)
        await asyncio.to_thread(wait_for, "the drain", lambda: service.said("This worker drains"))
        service.gate.touch()
        answers = [before, await idle.ask("/echo", "POST", b"body"), await busy.answer()]
        if server["server"] == "gthread":  # gunicorn has decided it when the request came: it is said with the next one
            assert not answers.pop().closes
            answers.append(await busy.ask("/"))
        return answers, await idle.reader.read()

    answers, rest = run(scenario())

    assert [answer.status for answer in answers] == [200] * 3
    assert [answer.closes for answer in answers] == [False, True, True]
    assert answers[1].body == b"body"
    assert rest == b"", "it announced the end, and did not close"


@servers(*GUNICORNS[1:])
def test_a_reload_to_a_release_that_does_not_boot(start, server):
    service = start(**server)
    old = service.workers()
    service.release("not")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.said("Booting worker") == 4)
        wait_for("their end", lambda: service.workers() == old)

    assert counts.lost == []


@servers(*GUNICORNS)
def test_a_worker_that_hangs(start, server):
    """It is replaced, the log says where it hung, and nobody else notices; only what it had goes with it."""
    service = start(**server, timeout=HANGS_AFTER)
    threads = server.get("threads", 1)

    async def scenario():
        # connections to one of the workers only: what is asked there hangs with it
        first = await Connection.open(service.address)
        hung = int((await first.ask("/")).body)
        its = [first]
        while len(its) <= threads:
            other = await Connection.open(service.address)
            if int((await other.ask("/")).body) == hung:
                its.append(other)
        for connection in its[1:]:
            await connection.send("/hang")
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await first.send("/echo", "POST", b"lost with it")
        with load(service.address) as counts:
            await asyncio.to_thread(wait_for, "its end", lambda: hung not in service.workers())
            seconds = time.monotonic() - began
            await asyncio.to_thread(wait_for, "another", lambda: len(service.workers()) == 2)
        return counts, seconds

    counts, seconds = run(scenario())

    assert counts.lost == []
    assert counts.answered > 100
    assert seconds < 2 * HANGS_AFTER + 2
    assert service.said("WORKER TIMEOUT") == 1
    assert "Fatal Python error: Aborted" in service.log()
    assert "in hang" in service.log() or "in app" in service.log()


@servers(*GUNICORNS, SINGLE)
def test_the_watchdog_is_fed_while_somebody_serves(start, server):
    service = start(**server, **({} if server["server"] == "uvicorn" else {"timeout": LONG}))
    assert service.feeds_watchdog()

    async def hang_all():
        for _time in range(12):  # enough for all threads of all workers
            connection = await Connection.open(service.address)
            await connection.send("/hang")
            await asyncio.sleep(0.05)
        await asyncio.to_thread(wait_for_hunger, service)

    run(hang_all())


def wait_for_hunger(service):
    wait_for("no more food for the watchdog", lambda: not service.feeds_watchdog())


@servers(*GUNICORNS)
def test_the_watchdog_is_not_fed_by_a_master_that_hangs(start, server):
    service = start(**server)

    service.send(signal.SIGSTOP)
    assert not service.feeds_watchdog()

    service.send(signal.SIGCONT)
    assert service.feeds_watchdog()
