"""Ask a deployed site over HTTPS and WebSocket, by server name, on any port of this machine.

For the demo and for the tests. Certificates are verified where a CA is given: most machines that these ask sign their own.
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
    """Send one request on a connection of its own and return the answer. The path goes out exactly as it is given."""
    connection = http.client.HTTPConnection(name, timeout=timeout)
    connection.sock = open_socket(name, port, tls=tls, ca=ca, first=first, timeout=timeout, host=host)
    try:
        connection.request(method, path, body, {"Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def websocket_echo(name: str, port: int, path: str, text: str, *, ca: Path | None = None, timeout: float = 15) -> str:
    """Send *text* over a WebSocket and return what comes back.

    In one thread: where one reads from an SSLSocket while another writes, as the package's own threads do, one connection
    in some two hundred is lost on a busy machine (seen with Python 3.11 and TLS 1.3, and not with 1.2).
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
    """Connect to *port* of this machine, unless *host* is another, and send *first*; then over TLS, ask for the site *name*."""
    plain = socket.create_connection((host, port), timeout)
    plain.sendall(first)
    if not tls:
        return plain
    return tls_context(ca).wrap_socket(plain, server_hostname=name)


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Return how to connect, with certificates of *ca* or, without one, any."""
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
