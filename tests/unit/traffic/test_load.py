"""The clients against servers that misbehave: each request is sent once, and what came of it is noted as it was."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from traffic.load import Asker, Journal, read_chunks


def answer(text, status="200 OK", more=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{more}\r\n{text}".encode()


def ident_of(head, body):
    return body or head.partition("id=")[2].partition(" ")[0]


# what the server sends for a request, before it hangs up; what the client notes
CASES = {
    "well": (lambda ident: answer(f"{ident} release", more="Connection: close\r\n"), ("", "release")),
    "bad gateway": (lambda ident: answer("sorry", "502 Bad Gateway", "Connection: close\r\n"), ("HTTP 502", "")),
    "hangs up": (lambda ident: b"", ("IncompleteReadError", "")),
    "breaks off": (lambda ident: answer(f"{ident} release")[:-3], ("IncompleteReadError", "")),
    "another's answer": (lambda ident: answer("other-1 release", more="Connection: close\r\n"), ("wrong answer", "")),
    "no length": (lambda ident: b"HTTP/1.1 200 OK\r\n\r\n", ("KeyError", "")),
    "no HTTP": (lambda ident: b"sorry what\r\n\r\n", ("ValueError", "")),
}


def play(reply, requests=3, hang_up_after_each=False):
    """Return what a client noted of so many requests, what the server got, and on how many connections."""
    got, connections = [], []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                body = ""
                if "Content-Length: " in head:
                    body = (await reader.readexactly(int(head.partition("Content-Length: ")[2].split()[0]))).decode()
                got.append((head.split()[0], ident_of(head, body)))
                sent = reply(got[-1][1])
                writer.write(sent)
                if hang_up_after_each:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        lines = io.StringIO()
        asker = Asker("x", "test", lambda: asyncio.open_connection("127.0.0.1", port), Journal(lines))
        for _number in range(requests):
            await asker.ask()
        asker.hang_up()
        server.close()
        return [json.loads(line) for line in lines.getvalue().splitlines()]

    return asyncio.run(main()), got, len(connections)


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
def test_each_request_is_sent_once_and_noted(reply, expected, monkeypatch):
    monkeypatch.setattr("traffic.load.RETRY_SECONDS", 0)
    noted, got, connections = play(reply, hang_up_after_each=True)
    assert [(line["fault"], line["serving"]) for line in noted] == [expected] * 3
    assert [ident for _method, ident in got] == ["x-1", "x-2", "x-3"]
    assert [(line["method"], line["id"]) for line in noted] == got
    assert connections == 3


def test_the_connection_is_kept():
    _noted, got, connections = play(lambda ident: answer(f"{ident} release"), 20)
    assert connections == 1
    assert {method for method, _ident in got} == {"GET", "POST"}


def test_nobody_listens(monkeypatch):
    monkeypatch.setattr("traffic.load.RETRY_SECONDS", 0)
    lines = io.StringIO()

    async def refuse():
        raise ConnectionRefusedError

    asyncio.run(Asker("x", "test", refuse, Journal(lines)).ask())
    assert json.loads(lines.getvalue())["fault"] == "ConnectionRefusedError"


@pytest.mark.parametrize(
    ("sent", "chunks", "broken_off"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", [b"abc", b""], False),
        (b"3\r\nabc\r\n", [b"abc"], True),
        (b"3\r\nab", [], True),
        (b"", [], True),
    ],
)
def test_chunks(sent, chunks, broken_off):
    async def main():
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        found = []
        try:
            async for chunk in read_chunks(reader):
                found.append(chunk)
        except asyncio.IncompleteReadError:
            return found, True
        return found, False

    assert asyncio.run(main()) == (chunks, broken_off)
