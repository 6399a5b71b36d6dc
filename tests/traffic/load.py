"""Load generator: clients that use a site over TLS and record the outcome of every request.

It is a separate program, so that the disturbances do not slow it down. It writes a line of JSON for each event and stops on
SIGTERM. It never repeats a request, so a request without a correct answer is lost.
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
# pause after a failed connection; without it, the clients would send more requests during an outage
RETRY_SECONDS = 0.2
# mean time until a long-lived client reconnects; each waits a random time, so that they do not reconnect at once
RETURN_SECONDS = 0.5
START_SECONDS = 1
BURST_SPREAD = 0.004

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


@dataclass(frozen=True)
class Shape:
    """The number of clients and the rate of their requests."""

    clients: int = 16
    think: float = 0.03  # mean seconds from an answer to the next request
    burst: float = 0.0  # seconds between bursts in which all clients send a request; replaces `think`
    slow: int = 4  # additional clients, whose requests make the app wait `slow_seconds`
    slow_seconds: float = 0.5
    websockets: int = 3
    streams: int = 8

    @property
    def concurrency(self) -> int:
        """Return the maximum number of requests in flight."""
        return self.clients + self.slow

    @property
    def requests_only(self) -> Shape:
        """Return this shape without the clients with long-lived connections."""
        return replace(self, websockets=0, streams=0)

    @property
    def long_lived_only(self) -> Shape:
        """Return this shape with only the clients that have long-lived connections."""
        return replace(self, clients=0, slow=0)


@dataclass(frozen=True)
class Address:
    """The address of a site: a port of *host*, and the server name."""

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
    """Return a TLS context that accepts self-signed certificates."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Journal:
    """Writes one line of JSON for each event. Times are from the monotonic clock, which all processes here share."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def record(self, kind: str, **facts: Any) -> None:
        self._file.write(json.dumps({"kind": kind, **facts}) + "\n")


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def last(self) -> bool:
        """Whether the server announces that it closes the connection."""
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
    """Yield the chunks of a response. The last one is empty if the response is complete."""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        chunk = (await reader.readexactly(size + 2))[:-2]
        yield chunk
        if not chunk:
            return


class RequestClient:
    """A client that sends GET and POST requests in random order on one connection, each with a unique id."""

    def __init__(self, ident: str, host: str, connect: Connect, journal: Journal, delay: float = 0) -> None:
        self._ident = ident
        self._host = host
        self._connect = connect
        self._journal = journal
        self._delay = delay
        self._random = random.Random(ident)
        self._count = 0
        self._streams: Streams | None = None

    async def open(self) -> None:
        self._streams = await self._connect()

    async def send(self) -> None:
        """Send one request, once, and record its outcome."""
        self._count += 1
        method, ident = self._random.choice(("GET", "POST")), f"{self._ident}-{self._count}"
        fault = serving = ""
        began = time.monotonic()
        try:
            response = await asyncio.wait_for(self._exchange(method, ident), ANSWER_SECONDS)
        except (OSError, EOFError, LookupError, ValueError) as exc:
            fault = type(exc).__name__
            self.close()
        else:
            answered, _space, serving = response.body.decode(errors="replace").partition(" ")
            if not 200 <= response.status < 300:
                fault, serving = f"HTTP {response.status}", ""
            elif answered != ident:
                fault, serving = "wrong answer", ""
            if response.last:
                self.close()
        facts = {"id": ident, "method": method, "began": began, "ended": time.monotonic(), "delay": self._delay}
        self._journal.record("request", **facts, fault=fault, serving=serving)
        if fault and self._streams is None:
            await asyncio.sleep(RETRY_SECONDS)

    async def _exchange(self, method: str, ident: str) -> Response:
        if self._streams is None:
            await self.open()
        reader, writer = self._streams
        body = ident if method == "POST" else ""
        query = f"seconds={self._delay}" + (f"&id={ident}" if method == "GET" else "")
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} /work?{query} HTTP/1.1\r\nHost: {self._host}\r\n{length}\r\n{body}".encode())
        return await read_response(reader)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def keep_sending(client: RequestClient, pause: Callable[[], float], stop: asyncio.Event) -> None:
    await asyncio.sleep(random.uniform(0, START_SECONDS))  # not all handshakes at once
    # If this fails, the first request records it.
    with suppress(OSError, EOFError):
        await client.open()
    while not stop.is_set():
        await client.send()
        await asyncio.sleep(pause())
    client.close()


async def keep_echoing(number: int, address: Address, journal: Journal) -> None:
    """Send messages over a WebSocket, record every echo and the end of the connection, and reconnect."""
    while True:
        facts: dict[str, Any] = {"socket": number, "opened": None, "code": None, "fault": ""}
        try:
            async with address.websocket("/ws") as peer:
                facts["opened"] = time.monotonic()
                async for serving in _echoes(peer):
                    journal.record("echo", socket=number, at=time.monotonic(), serving=serving)
                    await asyncio.sleep(ECHO_SECONDS)
        except ConnectionClosed as exc:
            facts["code"] = exc.rcvd.code if exc.rcvd else 1006
        except (OSError, EOFError, InvalidHandshake, ValueError) as exc:
            facts["fault"] = type(exc).__name__
        journal.record("websocket", ended=time.monotonic(), **facts)
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
    """Read an endless stream of server-sent events, record its end, and reconnect."""
    while True:
        facts: dict[str, Any] = {"stream": number, "opened": None, "events": 0, "whole": True, "ended_well": False}
        fault = ""
        writer = None
        try:
            reader, writer = await address.open()
            headers = f"Host: {address.name}\r\nAccept: text/event-stream\r\n"  # as a browser does
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
        journal.record("stream", ended=time.monotonic(), fault=fault, **facts)
        await asyncio.sleep(random.uniform(0, 2 * RETURN_SECONDS))


def pauses(shape: Shape) -> Callable[[], float]:
    """Return a function that gives the seconds until the next request of a client."""
    if not shape.burst:
        return lambda: random.uniform(0, 2 * shape.think)

    def until_burst() -> float:
        return shape.burst - time.monotonic() % shape.burst + random.uniform(0, BURST_SPREAD)

    return until_burst


async def run(address: Address, shape: Shape, run_id: str, journal: Journal) -> None:
    """Use the site until SIGTERM, then wait for the answers to the requests in flight."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    senders = [
        RequestClient(
            f"{run_id}-{number}", address.name, address.open, journal, shape.slow_seconds * (number >= shape.clients)
        )
        for number in range(shape.concurrency)
    ]
    sending = [asyncio.create_task(keep_sending(client, pauses(shape), stop)) for client in senders]
    others = [asyncio.create_task(keep_echoing(number, address, journal)) for number in range(shape.websockets)]
    others += [asyncio.create_task(keep_listening(number, address, journal)) for number in range(shape.streams)]
    await asyncio.gather(stop.wait(), *sending)
    for task in others:
        task.cancel()
    outcomes = await asyncio.gather(*others, return_exceptions=True)
    for outcome in outcomes:  # any other exception is a bug of this program
        if not isinstance(outcome, asyncio.CancelledError):
            raise outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int, help="port of the site")
    parser.add_argument("name", help="server name of the site")
    parser.add_argument("journal", help="file to write the events to")
    parser.add_argument("--host", default=Address.host, help="host of that port (default: this computer)")
    parser.add_argument("--run-id", default="run", help="prefix of the request ids")
    parser.add_argument(
        "--shape", type=json.loads, default={}, help=f"as JSON; by default {json.dumps(asdict(Shape()))}"
    )
    arguments = parser.parse_args()

    with open(arguments.journal, "w", encoding="utf-8") as file:
        address = Address(arguments.port, arguments.name, arguments.host)
        asyncio.run(run(address, Shape(**arguments.shape), arguments.run_id, Journal(file)))


if __name__ == "__main__":
    main()
