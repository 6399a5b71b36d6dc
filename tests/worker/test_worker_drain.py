"""The drain of a worker: its announcement, requests in flight, endless responses, and a quick stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from worker.clients import Connection
from worker.matrix import CORNERS
from worker.service import CLOSING_SECONDS, wait_for

LONG = 60
EVENTS = {"accept": "text/event-stream"}
CLOSE_FRAME = b"\x88\x02" + (1012).to_bytes(2, "big")
# A text frame with a zero mask.
MESSAGE = b"\x81\x84\0\0\0\0late"

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
    """Stop the only worker, and wait for its drain, which begins when its replacement serves."""
    [worker] = service.workers()
    os.kill(worker, signal.SIGTERM)
    await asyncio.to_thread(wait_for, "the drain", lambda: service.logged("This worker drains"))


@protocols
def test_draining_worker_answers_all_requests(start, http, ws):
    """Requests in flight and on keep-alive connections are answered. Each answer announces the end of its connection."""
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
    # A stream cannot announce the end after its headers are sent.
    assert [answer.closes for answer in answers] == [False, True, True, True, False]
    assert answers[1].body == b"body"
    assert rest == b"", "the connection stays open after the announcement"
    wait_for("the background task, which has no connection", service.done.exists)


@protocols
def test_endless_responses_are_closed_at_the_end_of_the_drain(start, http, ws):
    """Endless responses continue until the drain timeout. Clients can then tell complete responses from incomplete ones."""
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
            # A draining worker accepts a new WebSocket only on an existing connection.
            kept.writer.transport.pause_reading()
            taken = kept.writer.get_extra_info("socket").dup()
            kept.writer.transport.abort()
            async with unix_connect(sock=taken, uri="ws://test/ws") as new:
                upgrade = new.response.headers.get_all("Connection")
                for number in range(5):
                    for connection in (old, new):
                        await connection.send(f"{number}")
                        assert await connection.recv() == f"{number}"
                codes = [await close_code(connection) for connection in (old, new)]
        await download.chunks(streams[1])
        return upgrade, codes, streams, await asked_again

    upgrade, codes, (events, download), again = run(scenario())

    assert [word.lower() for word in upgrade] == ["upgrade"]
    assert codes == [1012, 1012]
    assert events.complete
    assert events.body.endswith(b"\n\n")
    assert (again.status, again.closes) == (200, True), "the worker closed a connection without an announcement"
    assert not download.complete, "an incomplete download looks complete"
    assert service.logged("WORKER TIMEOUT") == 0


@protocols
def test_concurrent_message_does_not_hide_the_close_code(start, http, ws):
    """If a write to the worker failed, a proxy would close the connection without reading the close frame."""
    service = start(http=http, ws=ws, workers=1, graceful_timeout=CLOSING_SECONDS + 1)

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LONG)
        client.connect(service.address)
        client.sendall(
            b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        os.kill(*service.workers(), signal.SIGTERM)
        assert client.recv(1, socket.MSG_PEEK) == CLOSE_FRAME[:1]
        time.sleep(0.5)  # until the worker has finished its immediate work
        for _time in range(2):
            client.sendall(MESSAGE)
        received = b""
        while part := client.recv(100):
            received += part

    assert head.startswith(b"HTTP/1.1 101 ")
    assert received == CLOSE_FRAME


async def ask_after_stream(connection, answer):
    """Send a request on the connection of a completed stream, as a proxy may do."""
    await connection.chunks(answer)
    return await connection.ask("/")


async def close_code(connection):
    try:
        await connection.recv()
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop_does_not_wait_for_streams(start, sig):
    """SIGINT and SIGQUIT skip the drain."""
    service = start(graceful_timeout=LONG)

    async def scenario():
        events = await Connection.open(service.address)
        await events.send("/events", **EVENTS)
        await events.head()
        return await asyncio.to_thread(service.stop, sig)

    assert run(scenario()) < LONG / 2


def test_stop_lets_streams_use_the_drain_time(start):
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
    assert service.logged("was sent SIGKILL") == 0


def test_worker_without_its_master_drains(start):
    service = start()
    workers = service.workers()

    service.send(signal.SIGKILL)

    wait_for("the drain", lambda: service.logged("This worker drains") == len(workers))
