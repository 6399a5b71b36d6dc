"""HTTPS and WebSocket client of the demo and the tests, which sends requests for any server name to any port.

It verifies certificates only if a CA is given, because most test machines have self-signed certificates.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import time
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


def process_upload(name: str, port: int, path: Path, *, ca: Path | None = None, timeout: float = 60) -> Any:
    """Upload the picture *path* to the example fullstack, and return its description when a worker has processed it."""
    boundary = "boundary-of-the-upload"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = ask(name, port, "/api/pictures", method="POST", body=body, headers=headers, ca=ca)
    deadline = time.monotonic() + timeout
    while answer.status in (200, 202) and answer.json()["state"] == "queued":
        if time.monotonic() > deadline:
            raise TimeoutError(f"no worker has processed {path.name} within {timeout} s")
        time.sleep(0.2)
        answer = ask(name, port, f"/api/pictures/{answer.json()['id']}", ca=ca)
    if answer.status != 200 or answer.json()["state"] != "ready":
        raise ValueError(f"{path.name} was not processed: {answer.status} {answer.text}")
    return answer.json()


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
