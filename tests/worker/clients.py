"""Clients of the service's socket that use keep-alive connections like a proxy, and never repeat a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CLIENTS = 16
ANSWER_SECONDS = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


@dataclass
class Connection:
    """A connection to the service without an HTTP library, which could hide failures or repeat requests."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, address: str) -> Connection:
        return cls(*await asyncio.open_unix_connection(address))

    async def ask(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        await self.send(target, method, body, **headers)
        return await self.answer()

    async def send(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def answer(self) -> Answer:
        answer = await self.head()
        if answer.headers.get("transfer-encoding") == "chunked":
            await self.chunks(answer)
        else:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        return answer

    async def head(self) -> Answer:
        first, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in rest if line)
        return Answer(int(first.split()[1]), headers, b"")

    async def chunks(self, answer: Answer) -> None:
        """Read a chunked body until the last chunk or the end of the connection."""
        try:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                answer.body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            answer.complete = False

    def close(self) -> None:
        self.writer.close()


@dataclass
class Counts:
    answered: int = 0
    lost: list[str] = field(default_factory=list)


@contextmanager
def load(address: str) -> Iterator[Counts]:
    """Send GET and POST requests continuously, from clients with short and long pauses."""
    counts = Counts()
    stop = threading.Event()

    async def all_clients() -> None:
        await asyncio.gather(*(_client(number, address, counts, stop) for number in range(CLIENTS)))

    thread = threading.Thread(target=asyncio.run, args=(all_clients(),))
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join()


async def _client(number: int, address: str, counts: Counts, stop: threading.Event) -> None:
    pause = 0.002 if number % 4 else 0.2
    connection = None
    count = 0
    while not stop.is_set():
        count += 1
        method, target = ("GET", "/") if count % 2 else ("POST", "/echo")
        sent = b"" if method == "GET" else f"{number}-{count}".encode()
        try:
            # Like a proxy, the client does not use a connection that the server has closed.
            if connection is None or connection.reader.at_eof():
                connection = await Connection.open(address)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await connection.ask(target, method, sent)
            if answer.status != 200 or (method == "POST" and answer.body != sent):
                counts.lost.append(f"{method} {answer.status}")
            counts.answered += 1
            if answer.closes:
                connection.close()
                connection = None
        except (OSError, EOFError, ValueError) as exc:
            counts.lost.append(f"{method} {exc!r}")
            connection = None
        await asyncio.sleep(pause)
    if connection is not None:
        connection.close()
