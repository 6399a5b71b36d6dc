"""Health checks, with a real unix socket and with fake responses."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import socketserver
import threading
import time

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe, accepts, ask, wait_healthy

PROBE = Probe(path="/health", host="hello.test", statuses=(200, 204), successes=2, timeout=2, deadline=10)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += max(seconds, 0.1)


def wait(answers, **changes):
    """Run wait_healthy with *answers* in turn, then the last one repeatedly; return the result and the number of requests."""
    clock, requests = Clock(), []

    def answer(_path, _probe):
        requests.append(clock.now)
        found = answers[min(len(requests), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found, "body"

    verdict = wait_healthy("/run/x.sock", PROBE._replace(**changes), ask=answer, clock=clock, sleep=clock.sleep)
    return verdict, len(requests)


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([200], 2),
        ([204, 200], 2),
        ([500, 200, 200], 3),
        ([200, 500, 200, 200], 4),  # the successes must be consecutive
        ([ConnectionRefusedError("no"), 200, 200], 3),
        ([TimeoutError("slow"), 200], 3),
    ],
)
def test_healthy(answers, requests):
    assert wait(answers) == ("", requests)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (500, "GET /health (Host: hello.test) on /run/x.sock answered 'HTTP 500: body', wanted 200 or 204"),
        (301, "answered 'HTTP 301: body'"),
        (404, "'HTTP 404: body', wanted 200 or 204; set asgi_server_probe_path to a path of the app"),
        (FileNotFoundError("no such socket"), "FileNotFoundError: no such socket"),
    ],
)
def test_unhealthy_app_is_reported_with_the_last_response(answer, words):
    verdict, requests = wait([answer])

    assert words in verdict
    assert requests > 1


def test_request_of_the_health_check(tmp_path):
    seen = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.update(path=self.path, host=self.headers["Host"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

        def address_string(self):
            return "unix"

    path = str(tmp_path / "x.sock")
    with socketserver.UnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, _body = ask(path, PROBE)
        server.shutdown()

    assert status == 204
    assert seen == {"path": "/health", "host": "hello.test"}


def test_accepting_socket(tmp_path):
    path = str(tmp_path / "x.sock")
    assert not accepts(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert not accepts(path)
        server.listen(0)
        # more clients than the queue holds: a socket with a full queue still counts as accepting
        waiting = [socket.socket(socket.AF_UNIX) for _number in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(path)
        assert accepts(path)
        for client in waiting:
            client.close()
        os.unlink(path)
        assert not accepts(path)
        (tmp_path / "x.sock").write_text("no socket")
        assert not accepts(path)


@pytest.mark.parametrize(
    "dripped",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
        # http.client closes its side of the connection after the headers
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 500\r\n\r\n",
    ],
)
def test_a_slow_response_is_limited_by_the_timeout(tmp_path, dripped):
    path = str(tmp_path / "s.sock")
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()

        def drip():
            client, _address = server.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(dripped)
                while not over.wait(0.05):
                    client.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                ask(path, PROBE._replace(timeout=0.5))
        finally:
            over.set()
            thread.join()
    assert time.monotonic() - began < 5
