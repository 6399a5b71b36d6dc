"""The load generator sends each request once, even to a faulty server, and records the outcome."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from traffic.load import Journal, RequestClient, read_chunks


def answer(text, status="200 OK", more=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{more}\r\n{text}".encode()


def ident_of(head, body):
    return body or head.partition("id=")[2].partition(" ")[0]


# The answer that the server sends before it closes the connection, and the fault and release that the client records.
CASES = {
    "correct answer": (lambda ident: answer(f"{ident} release", more="Connection: close\r\n"), ("", "release")),
    "bad gateway": (lambda ident: answer("sorry", "502 Bad Gateway", "Connection: close\r\n"), ("HTTP 502", "")),
    "no answer": (lambda ident: b"", ("IncompleteReadError", "")),
    "incomplete answer": (lambda ident: answer(f"{ident} release")[:-3], ("IncompleteReadError", "")),
    "answer to another request": (
        lambda ident: answer("other-1 release", more="Connection: close\r\n"),
        ("wrong answer", ""),
    ),
    "no length": (lambda ident: b"HTTP/1.1 200 OK\r\n\r\n", ("KeyError", "")),
    "not HTTP": (lambda ident: b"sorry what\r\n\r\n", ("ValueError", "")),
}


def exchange(reply, requests=3, close_after_each=False):
    """Return the records of a client, the requests that the server received, and the number of connections."""
    received, connections = [], []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                body = ""
                if "Content-Length: " in head:
                    body = (await reader.readexactly(int(head.partition("Content-Length: ")[2].split()[0]))).decode()
                received.append((head.split()[0], ident_of(head, body)))
                sent = reply(received[-1][1])
                writer.write(sent)
                if close_after_each:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        lines = io.StringIO()
        client = RequestClient("x", "test", lambda: asyncio.open_connection("127.0.0.1", port), Journal(lines))
        for _number in range(requests):
            await client.send()
        client.close()
        server.close()
        return [json.loads(line) for line in lines.getvalue().splitlines()]

    return asyncio.run(main()), received, len(connections)


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
def test_client_sends_each_request_once_and_records_it(reply, expected, monkeypatch):
    monkeypatch.setattr("traffic.load.RETRY_SECONDS", 0)
    records, received, connections = exchange(reply, close_after_each=True)
    assert [(line["fault"], line["serving"]) for line in records] == [expected] * 3
    assert [ident for _method, ident in received] == ["x-1", "x-2", "x-3"]
    assert [(line["method"], line["id"]) for line in records] == received
    assert connections == 3


def test_client_reuses_the_connection():
    _records, received, connections = exchange(lambda ident: answer(f"{ident} release"), 20)
    assert connections == 1
    assert {method for method, _ident in received} == {"GET", "POST"}


def test_refused_connection_is_recorded(monkeypatch):
    monkeypatch.setattr("traffic.load.RETRY_SECONDS", 0)
    lines = io.StringIO()

    async def refuse():
        raise ConnectionRefusedError

    asyncio.run(RequestClient("x", "test", refuse, Journal(lines)).send())
    assert json.loads(lines.getvalue())["fault"] == "ConnectionRefusedError"


@pytest.mark.parametrize(
    ("sent", "chunks", "incomplete"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", [b"abc", b""], False),
        (b"3\r\nabc\r\n", [b"abc"], True),
        (b"3\r\nab", [], True),
        (b"", [], True),
    ],
)
def test_read_chunks(sent, chunks, incomplete):
    async def main():
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        received = []
        try:
            async for chunk in read_chunks(reader):
                received.append(chunk)
        except asyncio.IncompleteReadError:
            return received, True
        return received, False

    assert asyncio.run(main()) == (chunks, incomplete)
