"""How a worker ends what it has: the announcement, what is under way, what never ends by itself, and a quick stop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from worker.clients import Connection
from worker.matrix import CORNERS
from worker.service import CLOSING_SECONDS, wait_for

LONG = 60
EVENTS = {"accept": "text/event-stream"}

protocols = pytest.mark.parametrize(
    ("corner", "http", "ws"),
    [
        pytest.param(corner, http, ws, id=f"{corner.name}-{http}-{ws}")
        for corner in CORNERS
        for http, ws in corner.protocols
    ],
    indirect=["corner"],
)


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, LONG))


async def draining(service):
    """Tell the only worker to go, and wait until it drains and its replacement serves."""
    [worker] = service.workers()
    os.kill(worker, signal.SIGTERM)
    await asyncio.to_thread(wait_for, "the drain", lambda: service.said("This worker drains"))


@protocols
def test_requests(start, http, ws):
    """What comes on a kept connection is answered, and so is what was under way; each answer announces the end."""
    service = start(http=http, ws=ws, workers=1, graceful_timeout=LONG)

    async def scenario():
        idle, busy, pipelining, streaming, background = [await Connection.open(service.address) for _time in range(5)]
        before = await idle.ask("/")
        await busy.send("/gate")
        await background.ask("/background")
        for _time in range(2):
            await pipelining.send("/gate")
        await streaming.send("/download")
        streamed = await streaming.head()
        await draining(service)
        service.gate.touch()
        return [
            before,
            await idle.ask("/echo", "POST", b"body"),
            await busy.answer(),
            await pipelining.answer(),
            streamed,
        ], await idle.reader.read()

    answers, rest = run(scenario())

    assert [answer.status for answer in answers] == [200] * 5
    # a stream whose headers are out cannot announce anything any more
    assert [answer.closes for answer in answers] == [False, True, True, True, False]
    assert answers[1].body == b"body"
    assert rest == b"", "it announced the end, and did not close"
    wait_for("the background task, which has no connection any more", service.done.exists)


@protocols
def test_what_never_ends(start, http, ws):
    """It goes on until the drain time is over; then each gets an end that it can tell from an accident."""
    service = start(http=http, ws=ws, workers=1, graceful_timeout=CLOSING_SECONDS + 2)

    async def scenario():
        events, download, kept = [await Connection.open(service.address) for _time in range(3)]
        await kept.ask("/")
        await events.send("/events", **EVENTS)
        await download.send("/download")
        streams = [await events.head(), await download.head()]
        async with unix_connect(service.address, "ws://test/ws") as old:
            await draining(service)
            asked_again = asyncio.create_task(ask_after_stream(events, streams[0]))
            # through the connection that was there before: only there does a draining worker get a new one
            kept.writer.transport.pause_reading()
            taken = kept.writer.get_extra_info("socket").dup()
            kept.writer.transport.abort()
            async with unix_connect(sock=taken, uri="ws://test/ws") as new:
                said = new.response.headers.get_all("Connection")
                for number in range(5):
                    for connection in (old, new):
                        await connection.send(f"{number}")
                        assert await connection.recv() == f"{number}"
                codes = [await close_code(connection) for connection in (old, new)]
        await download.chunks(streams[1])
        return said, codes, streams, await asked_again

    said, codes, (events, download), again = run(scenario())

    assert [word.lower() for word in said] == ["upgrade"]
    assert codes == [1012, 1012]
    assert events.complete
    assert events.body.endswith(b"\n\n")
    assert (again.status, again.closes) == (200, True), "it closed a connection without having announced it"
    assert not download.complete, "a client would take half a file for a whole one"
    assert service.said("WORKER TIMEOUT") == 0


async def ask_after_stream(connection, answer):
    """As a proxy may, for which the connection is an idle one now."""
    await connection.chunks(answer)
    return await connection.ask("/")


async def close_code(connection):
    try:
        await connection.recv()
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop(start, sig):
    """Nothing is waited for."""
    service = start(graceful_timeout=LONG)

    async def scenario():
        events = await Connection.open(service.address)
        await events.send("/events", **EVENTS)
        await events.head()
        return await asyncio.to_thread(service.stop, sig)

    assert run(scenario()) < LONG / 2


def test_a_stop_lets_streams_use_the_drain_time(start):
    service = start(graceful_timeout=CLOSING_SECONDS + 1)

    async def scenario():
        events = await Connection.open(service.address)
        await events.send("/events", **EVENTS)
        answer = await events.head()
        stopping = asyncio.create_task(asyncio.to_thread(service.stop))
        await events.chunks(answer)
        await stopping
        return answer

    assert run(scenario()).complete
    assert service.said("was sent SIGKILL") == 0


def test_a_worker_without_its_master_goes(start):
    service = start()
    workers = service.workers()

    service.send(signal.SIGKILL)

    wait_for("the drain", lambda: service.said("This worker drains") == len(workers))
