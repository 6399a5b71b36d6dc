# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an app's health endpoint over its own unix socket."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Callable, NamedTuple

# how modules take it
PROBE_OPTIONS = {
    "path": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "statuses": {"type": "list", "elements": "int", "required": True},
    "successes": {"type": "int", "required": True},
    "timeout": {"type": "float", "required": True},
    "deadline": {"type": "float", "required": True},
}


class Probe(NamedTuple):
    """How to ask, and when the answer counts as healthy.

    ``successes`` answers with one of ``statuses`` in a row are wanted before ``deadline`` seconds are over; each
    question may take ``timeout`` seconds. ``host`` is sent as the Host header.
    """

    path: str
    host: str
    statuses: tuple
    successes: int
    timeout: float
    deadline: float

    @classmethod
    def from_dict(cls, values: dict) -> Probe:
        return cls(**{**values, "statuses": tuple(values["statuses"])})


class UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over the unix socket at *path*."""

    def __init__(self, path: str, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class LocalTLSConnection(http.client.HTTPSConnection):
    """HTTPS to *port* of this very machine, whatever the name *host* resolves to; the certificate is not checked.

    Where a load balancer's ``proxy_protocol`` is wanted, this machine says that it asks for itself.
    """

    def __init__(self, host: str, port: int, timeout: float, proxy_protocol: bool) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls = context
        self._proxy_protocol = proxy_protocol

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        if self._proxy_protocol:
            plain.sendall(f"PROXY TCP4 127.0.0.1 127.0.0.1 {plain.getsockname()[1]} {self.port}\r\n".encode())
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def ask(path: str, probe: Probe) -> tuple:
    """Return (status, first part of the body) of one question to the socket at *path*; raises OSError, HTTPException."""
    return _ask(UnixConnection(path, probe.host, probe.timeout), probe)


def ask_proxy(host: str, port: int, probe: Probe, proxy_protocol: bool = False) -> tuple:
    """Return what :func:`ask` does, by way of the proxy on this machine that serves *host* on *port*."""
    return _ask(LocalTLSConnection(host, port, probe.timeout, proxy_protocol), probe)


def _ask(connection: http.client.HTTPConnection, probe: Probe) -> tuple:
    try:
        headers = {"Connection": "close", "User-Agent": "asgi.deploy probe", "X-Forwarded-Proto": "https"}
        connection.request("GET", probe.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(500).decode(errors="replace")
    finally:
        connection.close()


def wait_healthy(path: str, probe: Probe, ask: Callable = ask, clock=time.monotonic, sleep=time.sleep) -> str:
    """Ask until the app is healthy; return "" then, or what the last answer was when the deadline has passed."""
    end = clock() + probe.deadline
    in_a_row, answer = 0, "no answer"
    while True:
        try:
            status, body = ask(path, probe)
            answer = f"HTTP {status}: {body.strip()[:200]}"
            in_a_row = in_a_row + 1 if status in probe.statuses else 0
        except (OSError, http.client.HTTPException) as exc:
            answer = f"{type(exc).__name__}: {exc}"
            in_a_row = 0
        if in_a_row >= probe.successes:
            return ""
        if clock() >= end:
            wanted = " or ".join(str(status) for status in probe.statuses)
            return f"GET {probe.path} (Host: {probe.host}) on {path} answered {answer!r}, wanted {wanted}"
        sleep(0 if in_a_row else 0.2)
