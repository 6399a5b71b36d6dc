"""HTTPS and WebSocket client of the demo and the tests, which sends requests for any server name to any port.

It verifies certificates only if a CA is given, because most test machines have self-signed certificates.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any, NamedTuple

from websockets.asyncio.client import connect


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    name: str,
    port: int,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    tls: bool = True,
    ca: Path | None = None,
    first: bytes = b"",
    timeout: float = 15,
    host: str = "127.0.0.1",
) -> Answer:
    """Send one request on a new connection, without normalising the path, and return the answer."""
    connection = http.client.HTTPConnection(name, timeout=timeout)
    connection.sock = open_socket(name, port, tls=tls, ca=ca, first=first, timeout=timeout, host=host)
    try:
        connection.request(method, path, body, {"Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def websocket_echo(name: str, port: int, path: str, text: str, *, ca: Path | None = None, timeout: float = 15) -> str:
    """Send *text* over a WebSocket, and return the answer.

    The function uses asyncio, because the threads of the package's synchronous client read and write an SSLSocket at the same time. On a
    busy machine, this broke about one of two hundred connections (with Python 3.11 and TLS 1.3, not with TLS 1.2).
    """

    async def echo() -> str:
        opened = connect(
            f"wss://{name}{path}", host="127.0.0.1", port=port, ssl=tls_context(ca), proxy=None, open_timeout=timeout
        )
        async with opened as peer, asyncio.timeout(timeout):
            await peer.send(text)
            return str(await peer.recv())

    return asyncio.run(echo())


def open_socket(
    name: str,
    port: int,
    *,
    tls: bool = True,
    ca: Path | None = None,
    first: bytes = b"",
    timeout: float = 15,
    host: str = "127.0.0.1",
) -> socket.socket:
    """Connect to *port* of *host* and send *first*; then start TLS with the server name *name*, unless *tls* is false."""
    plain = socket.create_connection((host, port), timeout)
    plain.sendall(first)
    if not tls:
        return plain
    return tls_context(ca).wrap_socket(plain, server_hostname=name)


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates with *ca* or, without one, accepts any certificate."""
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
