"""Clients that use a site from outside over TLS and write down what became of every request.

A program of its own, so that what disturbs the site does not slow its clients: it writes a line of JSON for each event
and ends on SIGTERM. Nothing is repeated: a request that is not answered well is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import IO, Any, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ANSWER_SECONDS = 60
ECHO_SECONDS = 0.1
# after a failed connection, so that a closed loop does not multiply an outage
RETRY_SECONDS = 0.2
# mean, until what is long-lived connects again: each client after a time of its own, not all in the same instant
RETURN_SECONDS = 0.5
START_SECONDS = 1
BURST_SPREAD = 0.004

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


@dataclass(frozen=True)
class Shape:
    """How many clients ask, and how often."""

    clients: int = 16
    think: float = 0.03  # mean seconds from an answer to the next request
    burst: float = 0.0  # all of them at once every so many seconds, in place of `think`
    slow: int = 4  # further clients, whose requests take the app `slow_seconds`
    slow_seconds: float = 0.5
    websockets: int = 3
    streams: int = 8

    @property
    def askers(self) -> int:
        """Return how many requests can be under way at one time."""
        return self.clients + self.slow

    @property
    def of_askers(self) -> Shape:
        """Return this shape without the clients whose connections are long-lived."""
        return replace(self, websockets=0, streams=0)

    @property
    def of_long_lived(self) -> Shape:
        """Return this shape without the clients that ask again and again."""
        return replace(self, clients=0, slow=0)


@dataclass(frozen=True)
class Address:
    """Where the site is: a port, of this computer unless it says otherwise, and the name that it goes by."""

    port: int
    name: str
    host: str = "127.0.0.1"

    async def open(self) -> Streams:
        return await asyncio.open_connection(self.host, self.port, ssl=tls(), server_hostname=self.name)

    def websocket(self, path: str) -> connect:
        return connect(
            f"wss://{self.name}{path}",
            host=self.host,
            port=self.port,
            ssl=tls(),
            proxy=None,
            ping_interval=None,
            open_timeout=ANSWER_SECONDS,
        )


@cache
def tls() -> ssl.SSLContext:
    """Return how to speak TLS with a machine that signs its own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Journal:
    """Writes one line of JSON for each event. Times are of the monotonic clock, which all processes here share."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def note(self, kind: str, **facts: Any) -> None:
        self._file.write(json.dumps({"kind": kind, **facts}) + "\n")


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def last(self) -> bool:
        """Whether the server has announced that it closes the connection."""
        return self.headers.get("connection", "").lower() == "close"


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    fields = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _colon, value in fields}


async def read_response(reader: asyncio.StreamReader) -> Response:
    status, headers = await read_head(reader)
    return Response(status, headers, await reader.readexactly(int(headers["content-length"])))


async def read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the chunks of a response; the last one is empty if the server ended it, and missing if it broke off."""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        chunk = (await reader.readexactly(size + 2))[:-2]
        yield chunk
        if not chunk:
            return


class Asker:
    """One client: a connection that it keeps, on it GET and POST in turn of chance, each with an id of its own."""

    def __init__(self, ident: str, host: str, connect: Connect, journal: Journal, seconds: float = 0) -> None:
        self._ident = ident
        self._host = host
        self._connect = connect
        self._journal = journal
        self._seconds = seconds
        self._chance = random.Random(ident)
        self._count = 0
        self._streams: Streams | None = None

    async def open(self) -> None:
        self._streams = await self._connect()

    async def ask(self) -> None:
        """Send one request, once, and note what came of it."""
        self._count += 1
        method, ident = self._chance.choice(("GET", "POST")), f"{self._ident}-{self._count}"
        fault = serving = ""
        began = time.monotonic()
        try:
            response = await asyncio.wait_for(self._exchange(method, ident), ANSWER_SECONDS)
        except (OSError, EOFError, LookupError, ValueError) as exc:
            fault = type(exc).__name__
            self.hang_up()
        else:
            answered, _space, serving = response.body.decode(errors="replace").partition(" ")
            if not 200 <= response.status < 300:
                fault, serving = f"HTTP {response.status}", ""
            elif answered != ident:
                fault, serving = "wrong answer", ""
            if response.last:
                self.hang_up()
        facts = {"id": ident, "method": method, "began": began, "ended": time.monotonic(), "asked": self._seconds}
        self._journal.note("request", **facts, fault=fault, serving=serving)
        if fault and self._streams is None:
            await asyncio.sleep(RETRY_SECONDS)

    async def _exchange(self, method: str, ident: str) -> Response:
        if self._streams is None:
            await self.open()
        reader, writer = self._streams
        body = ident if method == "POST" else ""
        query = f"seconds={self._seconds}" + (f"&id={ident}" if method == "GET" else "")
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} /work?{query} HTTP/1.1\r\nHost: {self._host}\r\n{length}\r\n{body}".encode())
        return await read_response(reader)

    def hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def keep_asking(asker: Asker, pause: Callable[[], float], stop: asyncio.Event) -> None:
    await asyncio.sleep(random.uniform(0, START_SECONDS))  # not all handshakes at once
    # who finds nobody there notes that with the first request
    with suppress(OSError, EOFError):
        await asker.open()
    while not stop.is_set():
        await asker.ask()
        await asyncio.sleep(pause())
    asker.hang_up()


async def keep_echoing(number: int, address: Address, journal: Journal) -> None:
    """Send messages over a WebSocket and note every echo, and how the connection ended; then open another one."""
    while True:
        facts: dict[str, Any] = {"socket": number, "opened": None, "code": None, "fault": ""}
        try:
            async with address.websocket("/ws") as peer:
                facts["opened"] = time.monotonic()
                async for serving in _echoes(peer):
                    journal.note("echo", socket=number, at=time.monotonic(), serving=serving)
                    await asyncio.sleep(ECHO_SECONDS)
        except ConnectionClosed as exc:
            facts["code"] = exc.rcvd.code if exc.rcvd else 1006
        except (OSError, EOFError, InvalidHandshake, ValueError) as exc:
            facts["fault"] = type(exc).__name__
        journal.note("websocket", ended=time.monotonic(), **facts)
        await asyncio.sleep(random.uniform(0, 2 * RETURN_SECONDS))


async def _echoes(peer) -> AsyncIterator[str]:
    count = 0
    while True:
        count += 1
        await peer.send(str(count))
        answered, _space, serving = (await asyncio.wait_for(peer.recv(), ANSWER_SECONDS)).partition(" ")
        if answered != str(count):
            raise ValueError(f"{answered!r} is not the echo of {count}")
        yield serving


async def keep_listening(number: int, address: Address, journal: Journal) -> None:
    """Read an endless stream of server-sent events and note how it ended; then begin another one."""
    while True:
        facts: dict[str, Any] = {"stream": number, "opened": None, "events": 0, "whole": True, "ended_well": False}
        fault = ""
        writer = None
        try:
            reader, writer = await address.open()
            headers = f"Host: {address.name}\r\nAccept: text/event-stream\r\n"  # as a browser asks
            writer.write(f"GET /events HTTP/1.1\r\n{headers}\r\n".encode())
            status, _headers = await read_head(reader)
            if status != 200:
                raise ValueError(f"HTTP {status}")
            facts["opened"] = time.monotonic()
            text = b""
            async for chunk in read_chunks(reader):
                facts["ended_well"] = not chunk
                text = (text + chunk).rpartition(b"\n\n")[2]
                facts["events"] += chunk.count(b"\n\n")
                facts["whole"] = not text
        except (OSError, EOFError, ValueError) as exc:
            fault = str(exc) if isinstance(exc, ValueError) else type(exc).__name__
        finally:
            if writer is not None:
                writer.close()
        journal.note("stream", ended=time.monotonic(), fault=fault, **facts)
        await asyncio.sleep(random.uniform(0, 2 * RETURN_SECONDS))


def pauses(shape: Shape) -> Callable[[], float]:
    """Return what tells an asker how long to wait until its next request."""
    if not shape.burst:
        return lambda: random.uniform(0, 2 * shape.think)

    def until_burst() -> float:
        return shape.burst - time.monotonic() % shape.burst + random.uniform(0, BURST_SPREAD)

    return until_burst


async def run(address: Address, shape: Shape, run_id: str, journal: Journal) -> None:
    """Use the site until SIGTERM; what is being asked then still gets its answer."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    askers = [
        Asker(f"{run_id}-{number}", address.name, address.open, journal, shape.slow_seconds * (number >= shape.clients))
        for number in range(shape.askers)
    ]
    asking = [asyncio.create_task(keep_asking(asker, pauses(shape), stop)) for asker in askers]
    others = [asyncio.create_task(keep_echoing(number, address, journal)) for number in range(shape.websockets)]
    others += [asyncio.create_task(keep_listening(number, address, journal)) for number in range(shape.streams)]
    await asyncio.gather(stop.wait(), *asking)
    for task in others:
        task.cancel()
    outcomes = await asyncio.gather(*others, return_exceptions=True)
    for outcome in outcomes:  # whatever else one of them died of is a fault of this program
        if not isinstance(outcome, asyncio.CancelledError):
            raise outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int, help="port that leads to the site")
    parser.add_argument("name", help="server name of the site")
    parser.add_argument("journal", help="file to write the events to")
    parser.add_argument("--host", default=Address.host, help="whose port that is (default: this computer's)")
    parser.add_argument("--run-id", default="run", help="what the ids of the requests begin with")
    parser.add_argument(
        "--shape", type=json.loads, default={}, help=f"as JSON; by default {json.dumps(asdict(Shape()))}"
    )
    arguments = parser.parse_args()

    with open(arguments.journal, "w", encoding="utf-8") as file:
        address = Address(arguments.port, arguments.name, arguments.host)
        asyncio.run(run(address, Shape(**arguments.shape), arguments.run_id, Journal(file)))


if __name__ == "__main__":
    main()
