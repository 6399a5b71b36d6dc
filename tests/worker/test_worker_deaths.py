"""A worker that ends unexpectedly affects no other worker or connection, and leaves no process behind."""

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
HANGS_AFTER = 3

THREADS = {"server": "gthread", "threads": 4}
SERVERS = [
    pytest.param(NEWEST, {"server": "gunicorn_asgi"}, id="gunicorn_asgi"),
    pytest.param(NEWEST, THREADS, id="gthread"),
    pytest.param(OLDEST_THREADS, THREADS, id="gthread-oldest"),
]
ENDS = ["exit 3", "exit 4", "exit 0", f"signal {signal.SIGSEGV:d}", "thread 3"]
servers = pytest.mark.parametrize(("corner", "server"), SERVERS, indirect=["corner"])


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, LONG))


async def connections_to_workers(service, number=2):
    """Return connections to different workers, by the process id of the worker."""
    connections = {}
    while len(connections) < number:
        connection = await Connection.open(service.address)
        connections.setdefault(int((await connection.ask("/")).body), connection)
    return connections


def ends(service, how):
    """End one of two workers while the other is busy. Check that the ended worker is replaced and the busy one answers."""

    async def scenario():
        (dying, first), (other, second) = (await connections_to_workers(service)).items()
        await second.send("/gate")
        await first.send("/end", "POST", how.encode())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await first.answer()
        await asyncio.to_thread(wait_for, "the end of the worker", lambda: dying not in service.workers())
        await asyncio.to_thread(wait_for, "a new worker", lambda: len(service.workers()) == 2)
        service.gate.touch()
        return await second.answer(), other

    answer, other = run(scenario())
    assert answer.status == 200
    assert other in service.workers()
    assert service.runs


@pytest.mark.parametrize("how", ENDS)
def test_dead_worker_is_replaced(start, how):
    ends(start(), how)


@servers
@pytest.mark.parametrize("how", ENDS[:2])
def test_dead_worker_of_another_server_is_replaced(start, server, how):
    ends(start(**server), how)


def test_all_workers_that_die_at_once_are_replaced(start):
    service = start(workers=3)
    old = service.workers()

    async def scenario():
        connections = await connections_to_workers(service, 3)
        for connection in connections.values():
            await connection.send("/end", "POST", b"exit 3")
        await asyncio.to_thread(wait_for, "new workers", lambda: len(service.serving() - old) == 3)
        return await (await Connection.open(service.address)).ask("/")

    assert run(scenario()).status == 200
    assert service.runs


def test_worker_that_dies_while_it_drains(start):
    service = start(workers=1, graceful_timeout=LONG)

    async def scenario():
        draining, ending = [await Connection.open(service.address) for _time in range(2)]
        await ending.ask("/")
        await draining.send("/gate")
        os.kill(next(iter(service.workers())), signal.SIGTERM)
        await asyncio.to_thread(wait_for, "the drain", lambda: service.logged("This worker drains"))
        await ending.send("/end", "POST", b"exit 3")
        await asyncio.to_thread(wait_for, "the end of the worker", lambda: len(service.workers()) == 1)

    run(scenario())
    assert service.runs
    assert len(service.serving()) == 1


def test_worker_that_dies_during_a_reload(start):
    service = start()
    old = service.workers()
    service.release("slowly")

    async def scenario():
        connections = await connections_to_workers(service)
        service.send(signal.SIGHUP)
        await asyncio.to_thread(wait_for, "the new workers", lambda: len(service.workers()) == 4)
        for connection in connections.values():
            await connection.send("/end", "POST", b"exit 3")
        await asyncio.to_thread(wait_for, "the new workers only", lambda: len(service.serving() - old) == 2)

    run(scenario())
    assert service.runs


@pytest.mark.parametrize("how", ENDS[1:4])
def test_new_worker_that_dies_before_it_serves_does_not_affect_the_others(start, how):
    service = start()
    old = service.workers()
    service.release(f"ends with {how}")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.logged("Booting worker") == 4)
        wait_for("the end of the new workers", lambda: service.workers() == old)
        time.sleep(1)

    assert counts.lost == []
    assert service.serving() == old
    assert service.logged("Booting worker") == 4
    # The reload runs immediately, although gunicorn 24 and newer would wait for the old workers.
    service.release("well")
    service.reload()
    assert len(service.serving()) == 2


@pytest.mark.parametrize("how", ENDS)
def test_release_whose_workers_die_at_boot_ends_the_service(start, how):
    service = start(timeout=LONG)
    service.stop()
    service.release(f"ends with {how}")

    assert service.fails_to_boot() == 3
    assert "Worker failed to boot" in service.log()


def test_fifty_concurrent_reloads_are_merged(start):
    service = start()
    most = 0
    with load(service.address) as counts:
        for _time in range(50):
            service.send(signal.SIGHUP)
            time.sleep(0.02)
            most = max(most, len(service.workers()))
        old = service.workers()
        wait_for("the last reload", lambda: not service.workers() & old and len(service.workers()) == 2)
        time.sleep(2)

    assert counts.lost == []
    assert 2 <= service.logged("Hang up") <= 4
    assert most <= 4
    assert service.fewest_serving() >= 2


def test_last_of_many_reloads_uses_the_current_release(start):
    """A reload that is requested while others run is not dropped."""
    service = start()
    service.release("slowly")
    service.send(signal.SIGHUP)
    wait_for("the new workers", lambda: len(service.workers()) == 4)
    for _time in range(5):
        service.send(signal.SIGHUP)
    before = service.workers()

    wait_for("the next reload", lambda: len(service.serving() - before) == 2)
    assert service.logged("Hang up") == 2


# ---- child processes of workers


def hangs_with(service, kind, threads=1):
    """Make a worker with child processes of *kind* hang, and return its process id after its connections have broken."""

    async def scenario():
        connections = [await Connection.open(service.address)]
        hung = int((await connections[0].ask("/")).body)
        while len(connections) <= threads:
            other = await Connection.open(service.address)
            if int((await other.ask("/")).body) == hung:
                connections.append(other)
        await connections[0].ask("/start", "POST", kind.encode())
        for connection in connections[1:]:
            await connection.send("/hang", "POST")
        await asyncio.sleep(0.5)
        await connections[0].send("/echo", "POST", b"waits for a thread")
        for connection in connections:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await connection.answer()
        return hung

    return run(scenario())


KINDS = ["pool", "session", "program", "tree", "background"]


@pytest.mark.parametrize("kind", KINDS)
def test_child_processes_of_a_hanging_worker_end_with_it(start, kind):
    service = start(timeout=HANGS_AFTER)
    hung = hangs_with(service, kind)

    wait_for("a new worker", lambda: len(service.workers() - {hung}) == 2)
    wait_for("the end of its processes", lambda: service.processes() == {service.master, *service.workers()})
    assert service.logged("WORKER TIMEOUT") == 1


@servers
def test_child_processes_of_a_hanging_worker_of_another_server_end_with_it(start, server):
    service = start(**server, timeout=HANGS_AFTER)
    hung = hangs_with(service, "pool", server.get("threads", 1))

    wait_for("a new worker", lambda: len(service.workers() - {hung}) == 2)
    wait_for("the end of its processes", lambda: service.processes() == {service.master, *service.workers()})


@pytest.mark.parametrize("kind", ["program", "background"])
def test_child_processes_of_a_stopped_worker_end_after_it(start, kind):
    service = start(workers=1)

    async def scenario():
        connection = await Connection.open(service.address)
        await connection.ask("/start", "POST", kind.encode())
        connection.close()

    run(scenario())
    [old] = service.workers()
    assert len(service.processes()) == 3
    os.kill(old, signal.SIGTERM)
    wait_for("the end of the worker", lambda: old not in service.processes())
    wait_for("the end of its processes", lambda: service.processes() == {service.master, *service.workers()})


def test_detached_process_of_a_live_worker_survives(start):
    """The end of another worker does not affect the process."""
    service = start()

    async def scenario():
        first, second = (await connections_to_workers(service)).values()
        for kind in (b"daemon", b"background"):
            await first.ask("/start", "POST", kind)
        assert len(service.processes()) == 5
        await asyncio.sleep(2.5)  # until the master has detected the processes
        await second.send("/end", "POST", b"exit 3")
        await asyncio.to_thread(wait_for, "a new worker", lambda: len(service.serving()) == 2)
        await asyncio.sleep(2.5)

    run(scenario())
    assert len(service.processes()) == 5


@pytest.mark.parametrize("kind", ["pool", "session", "daemon"])
def test_forked_process_keeps_no_connection_open(start, kind):
    """Otherwise, the client would not notice that the worker closes the connection."""
    service = start(workers=1)

    async def scenario():
        connection, other = [await Connection.open(service.address) for _time in range(2)]
        await other.ask("/")
        await connection.ask("/start", "POST", kind.encode())
        await connection.ask("/", connection="close")
        await asyncio.wait_for(connection.reader.read(), 5)
        return await other.ask("/")

    assert run(scenario()).status == 200, "the worker lost a connection"
