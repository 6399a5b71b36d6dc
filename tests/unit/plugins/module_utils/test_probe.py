"""When an app counts as healthy; against a real unix socket, and with answers made up."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.probe import Probe, ask, ask_proxy, wait_healthy

PROBE = Probe(path="/health", host="hello.test", statuses=(200, 204), successes=2, timeout=2, deadline=10)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += max(seconds, 0.1)


def wait(answers, **changes):
    """Run wait_healthy with *answers* in turn, the last one for ever; return its verdict and the questions asked."""
    clock, asked = Clock(), []

    def answer(_path, _probe):
        asked.append(clock.now)
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found, "body"

    verdict = wait_healthy("/run/x.sock", PROBE._replace(**changes), ask=answer, clock=clock, sleep=clock.sleep)
    return verdict, len(asked)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([200], 2),
        ([204, 200], 2),
        ([500, 200, 200], 3),
        ([200, 500, 200, 200], 4),  # in a row
        ([ConnectionRefusedError("no"), 200, 200], 3),
        ([TimeoutError("slow"), 200], 3),
    ],
)
def test_healthy(answers, asked):
    assert wait(answers) == ("", asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "GET /health (Host: hello.test) on /run/x.sock answered 'HTTP 500: body', wanted 200 or 204"),
        (301, "answered 'HTTP 301: body'"),
        (FileNotFoundError("no such socket"), "FileNotFoundError: no such socket"),
    ],
)
def test_not_healthy_says_why(answer, said):
    verdict, asked = wait([answer])

    assert said in verdict
    assert asked > 1


def test_the_question_on_the_wire(tmp_path):
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


@pytest.mark.parametrize(
    ("proxy_protocol", "first"), [(True, b"PROXY TCP4 127.0.0.1 127.0.0.1 "), (False, b"\x16\x03")]
)
def test_what_a_proxy_behind_a_balancer_is_told_first(proxy_protocol, first):
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen = []

        def listen():
            connection = server.accept()[0]
            with connection:
                seen.append(connection.recv(1000))

        listener = threading.Thread(target=listen)
        listener.start()
        with pytest.raises(OSError, match="."):
            ask_proxy("hello.test", server.getsockname()[1], PROBE, proxy_protocol)
        listener.join()
    assert seen[0].startswith(first)
