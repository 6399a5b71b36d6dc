"""Servers other than the default, and hanging processes. Other files test reloads of the default server."""

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
# gunicorn's timeout for a hanging worker
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
def test_reloads_and_recycling_lose_no_request(start, server):
    service = start(**server, max_requests=1500, max_requests_jitter=500)
    with load(service.address) as counts:
        for _time in range(3):
            service.reload()
        wait_for("recycled workers", lambda: service.logged("This worker drains") >= 8)

    assert counts.lost == []
    assert counts.answered > 1000
    assert service.logged("WORKER TIMEOUT") == 0


@servers(*GUNICORNS[1:], SINGLE)
def test_restart_with_the_socket_held_open_loses_no_request(start, server):
    service = start(**server)
    with load(service.address) as counts:
        for _time in range(2):
            service.stop()
            service.start()
        time.sleep(0.5)

    assert counts.lost == []
    assert counts.answered > 300


@servers(*GUNICORNS[1:], *OLDEST_GUNICORNS, SINGLE)
def test_each_answer_announces_the_end_and_is_complete(start, server):
    """Requests in flight and on keep-alive connections are answered."""
    alone = {} if server["server"] == "uvicorn" else {"workers": 1}
    service = start(**server, **alone, graceful_timeout=LONG)

    async def scenario():
        idle, busy = [await Connection.open(service.address) for _time in range(2)]
        before = await idle.ask("/")
        await busy.send("/gate")
        await asyncio.sleep(0.5)
        os.kill(next(iter(service.workers()), service.master), signal.SIGTERM)
        await asyncio.to_thread(wait_for, "the drain", lambda: service.logged("This worker drains"))
        service.gate.touch()
        answers = [before, await idle.ask("/echo", "POST", b"body"), await busy.answer()]
        if (
            server["server"] == "gthread"
        ):  # gunicorn decides about keep-alive when a request arrives, so only the next answer closes
            assert not answers.pop().closes
            answers.append(await busy.ask("/"))
        return answers, await idle.reader.read()

    answers, rest = run(scenario())

    assert [answer.status for answer in answers] == [200] * 3
    assert [answer.closes for answer in answers] == [False, True, True]
    assert answers[1].body == b"body"
    assert rest == b"", "the connection stays open after the announcement"


@servers(*GUNICORNS[1:])
def test_reload_to_a_release_that_does_not_boot(start, server):
    service = start(**server)
    old = service.workers()
    service.release("not")
    with load(service.address) as counts:
        service.send(signal.SIGHUP)
        wait_for("the new workers", lambda: service.logged("Booting worker") == 4)
        wait_for("the end of the new workers", lambda: service.workers() == old)

    assert counts.lost == []


@servers(*GUNICORNS)
def test_hanging_worker_is_replaced(start, server):
    """The log contains the traceback of the hanging code, and other workers are not affected."""
    service = start(**server, timeout=HANGS_AFTER)
    threads = server.get("threads", 1)

    async def scenario():
        # All connections lead to the same worker, and their requests hang with it.
        first = await Connection.open(service.address)
        hung = int((await first.ask("/")).body)
        connections = [first]
        while len(connections) <= threads:
            other = await Connection.open(service.address)
            if int((await other.ask("/")).body) == hung:
                connections.append(other)
        for connection in connections[1:]:
            await connection.send("/hang")
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await first.send("/echo", "POST", b"lost with it")
        with load(service.address) as counts:
            await asyncio.to_thread(wait_for, "the end of the worker", lambda: hung not in service.workers())
            seconds = time.monotonic() - began
            await asyncio.to_thread(wait_for, "a new worker", lambda: len(service.workers()) == 2)
        return counts, seconds

    counts, seconds = run(scenario())

    assert counts.lost == []
    assert counts.answered > 100
    assert seconds < 2 * HANGS_AFTER + 2
    assert service.logged("WORKER TIMEOUT") == 1
    assert "Fatal Python error: Aborted" in service.log()
    assert "in hang" in service.log() or "in app" in service.log()


@servers(*GUNICORNS, SINGLE)
def test_watchdog_is_notified_while_a_worker_serves(start, server):
    service = start(**server, **({} if server["server"] == "uvicorn" else {"timeout": LONG}))
    assert service.notifies_watchdog()

    async def hang_all():
        for _time in range(12):  # enough for all threads of all workers
            connection = await Connection.open(service.address)
            await connection.send("/hang")
            await asyncio.sleep(0.05)
        await asyncio.to_thread(wait_for_silence, service)

    run(hang_all())


def wait_for_silence(service):
    wait_for("the watchdog notifications to stop", lambda: not service.notifies_watchdog())


@servers(*GUNICORNS)
def test_hanging_master_does_not_notify_the_watchdog(start, server):
    service = start(**server)

    service.send(signal.SIGSTOP)
    assert not service.notifies_watchdog()

    service.send(signal.SIGCONT)
    assert service.notifies_watchdog()


@servers(*GUNICORNS, SINGLE)
@pytest.mark.parametrize("name", ["{prefix}_app('hi', times=2)", "container.{app}"])
def test_every_server_calls_factories_and_enters_the_working_directory(start, tmp_path, server, name):
    """Modules are imported from the code, also by child processes, and not from the writable working directory."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/factory_code.py").write_text("NAME = 'from the code'\n")
    wsgi = server["server"] == "gthread"
    prefix, app = ("create_wsgi", "wsgi_app") if wsgi else ("create", "app")
    shared = tmp_path / "shared/data"

    service = start(**server, app="factory:" + name.format(prefix=prefix, app=app), working_directory=str(shared))

    async def scenario():
        connection = await Connection.open(service.address)
        return (await connection.ask("/")).body.decode().splitlines()

    assert run(scenario()) == ["hihi" if "hi" in name else "contained", str(shared), "from the code"]


@servers(GUNICORNS[0], GUNICORNS[1], SINGLE)
def test_requests_beyond_limit_concurrency_are_answered_with_503(start, server):
    """Idle connections, of which nginx keeps many, do not count."""
    more = "import asgi_deploy_request\nasgi_deploy_request.limit_concurrency(1, except_path='/health')\n"
    service = start(**server, more=more, **({} if server["server"] == "uvicorn" else {"workers": 1}))

    async def scenario():
        idle = [await Connection.open(service.address) for _number in range(3)]
        for connection in idle:
            assert (await connection.ask("/")).status == 200
        await idle[0].send("/gate")
        await asyncio.sleep(0.3)
        refused = await idle[1].ask("/echo", "POST", b"x" * 100000)
        healthy = await idle[2].ask("/health")
        service.gate.touch()
        return refused, healthy, await idle[0].answer(), await idle[1].ask("/")

    refused, healthy, finished, after = run(scenario())
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (healthy.status, finished.status, after.status) == (200, 200, 200)


@servers(GUNICORNS[0], SINGLE)
def test_settings_of_uvicorn_are_applied(start, server):
    more = "asgi_deploy_process.UVICORN_SETTINGS.update({'root_path': '/api', 'lifespan': 'off', 'http': 'h11'})\n"
    service = start(**server, more=more)

    async def scenario():
        connection = await Connection.open(service.address)
        return (await connection.ask("/root-path")).body

    assert run(scenario()) == b"/api"


@servers(GUNICORNS[0], GUNICORNS[1], SINGLE)
def test_only_the_configured_root_path_is_accepted_from_the_proxy(start, server):
    more = "import asgi_deploy_request\nasgi_deploy_request.accept_root_path('/api')\n"
    service = start(**server, more=more)

    async def scenario():
        connection = await Connection.open(service.address)
        return [
            (await connection.ask("/root-path", **{"X-Asgi-Root-Path": path})).body for path in ("/api", "/other", "")
        ]

    assert run(scenario()) == [b"/api", b"", b""]
