# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks of an app over its own unix socket."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import Callable, NamedTuple

# The options of a health check in modules' argument specs.
PROBE_OPTIONS = {
    "path": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "statuses": {"type": "list", "elements": "int", "required": True},
    "successes": {"type": "int", "required": True},
    "timeout": {"type": "float", "required": True},
    "deadline": {"type": "float", "required": True},
}


class Probe(NamedTuple):
    """The options of a health check.

    The app is healthy after ``successes`` consecutive responses with one of the ``statuses`` within ``deadline`` seconds. Each
    request has a ``timeout``. ``host`` is the Host header.
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


def accepts(path: str, timeout: float = 1) -> bool:
    """Return whether a process accepts connections on the unix socket *path*; a full queue counts as accepting.

    The state of the socket unit is not sufficient: the unit remains active even after its socket file is removed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        try:
            client.connect(path)
        except (BlockingIOError, socket.timeout):
            return True
        except OSError:
            return False
    return True


def ask(path: str, probe: Probe) -> tuple:
    """Send one request to the socket at *path*; return (status, start of the body). Raises OSError or HTTPException."""
    return ask_over(UnixConnection(path, probe.host, probe.timeout), probe)


def ask_over(connection: http.client.HTTPConnection, probe: Probe) -> tuple:
    """Like :func:`ask`, but over the given *connection*."""
    headers = {"Connection": "close", "User-Agent": "asgi.deploy probe", "X-Forwarded-Proto": "https"}
    response, body = exchange(connection, probe.path, headers, probe.timeout, 500)
    return response.status, body


def exchange(connection: http.client.HTTPConnection, path: str, headers: dict, timeout: float, size: int) -> tuple:
    """Send a GET request over *connection*; return the response and at most *size* bytes of its body.

    Raises TimeoutError if the whole exchange takes more than *timeout* seconds, and OSError or HTTPException for other failures.
    """
    late = threading.Event()
    try:
        connection.connect()
        # Each received byte restarts a socket's timeout, so an app that responds slowly could delay the probe forever. The timer holds the
        # socket itself, because the connection drops its reference after the headers of a response with "Connection: close".
        timer = threading.Timer(timeout, _shut_down, [connection.sock, late])
        timer.start()
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read(size).decode(errors="replace")
        except (OSError, http.client.HTTPException) as exc:
            if late.is_set():
                raise _too_late(timeout) from exc
            raise
        finally:
            timer.cancel()
    finally:
        connection.close()
    if late.is_set():
        raise _too_late(timeout)
    return response, body


def _too_late(timeout: float) -> TimeoutError:
    return TimeoutError(f"no complete answer within {timeout:g} s")


def _shut_down(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # already closed
        # SSLSocket.shutdown() would change the state of the socket while another thread reads from it.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def wait_healthy(path: str, probe: Probe, ask: Callable = ask, clock=time.monotonic, sleep=time.sleep) -> str:
    """Repeat the health check until it succeeds or the deadline has passed; return "" if it succeeds, else the last response."""
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
            remedy = "; set asgi_server_probe_path to a path of the app" if answer.startswith("HTTP 404") else ""
            return f"GET {probe.path} (Host: {probe.host}) on {path} answered {answer!r}, wanted {wanted}{remedy}"
        sleep(0 if in_a_row else 0.2)
