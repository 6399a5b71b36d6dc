"""Who may come, how often, with how much, and how fast it is passed on."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import probe
import pytest

CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"


def authorization(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/admin", {}, 401),
        ("/admin/x", {}, 401),
        ("/admin", authorization("alice", "open sesame"), 200),
        ("/admin/x", authorization("alice", "open sesame"), 200),
        ("/admin", authorization("alice", "wrong"), 401),
        ("/admin", authorization("bob", "open sesame"), 401),
        ("/admin/public/x", {}, 200),
        ("/administration", {}, 200),
        # a file below it
        ("/admin/files/page.js", {}, 401),
        ("/admin/files/page.js", authorization("alice", "open sesame"), 200),
        # the same path in other words
        ("/%61dmin", {}, 401),
        ("//admin", {}, 401),
        ("/x/../admin", {}, 401),
        ("/x/..%2fadmin", {}, 401),
        ("/admin%2fx", {}, 401),
        ("/admin/public/../x", {}, 401),
        ("/admin/public/%2e%2e/x", {}, 401),
        # another way in
        ("/admin", {"Upgrade": "websocket", "Connection": "Upgrade"}, 401),
        ("/office", {"X-Forwarded-For": "198.51.100.7"}, 200),
        ("/office", {"X-Forwarded-For": "198.51.100.9"}, 403),
        ("/office", {"X-Forwarded-For": "203.0.113.66"}, 403),
        ("/office", {"X-Forwarded-For": "203.0.113.66", "Upgrade": "websocket", "Connection": "Upgrade"}, 403),
    ],
)
def test_who_may_come(features, path, headers, status):
    assert features.ask(path, headers=headers).status == status


def test_passwords_are_for_nginx_alone(features):
    file = features.host.file("/etc/asgi/features/htpasswd")
    assert (file.user, file.group, file.mode) == ("root", "www-data", 0o640)
    assert file.content_string.startswith("alice:$6$")


def test_a_websocket_goes_through_and_back(features):
    port = features.port()
    assert probe.websocket_echo("features.test", port, "/any", "over the socket", ca=CA) == "over the socket"
    assert probe.websocket_echo("features.test", port, "/drip", "over the socket", ca=CA) == "over the socket"


def test_more_than_a_clients_rate_is_refused(features):
    # an address of its own for each run, whose count begins at none; the rate is one a minute, and two more at once
    client = {"X-Forwarded-For": f"203.0.113.{os.getpid() % 200 + 1}"}
    others = {"X-Forwarded-For": f"192.0.2.{os.getpid() % 200 + 1}"}
    statuses = [features.ask("/limited", headers=client).status for _turn in range(6)]
    assert statuses == [200, 200, 200, 429, 429, 429]
    assert features.ask("/", headers=client).status == 200
    assert features.ask("/limited/below", headers=client).status == 429
    assert features.ask("/limited", headers=others).status == 200


def test_more_than_a_clients_connections_are_refused(features):
    def ask(address):
        return features.ask("/drip", headers={"X-Forwarded-For": address}).status

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, ["203.0.113.201"] * 3 + ["203.0.113.202"]))
    assert (sorted(found[:3]), found[3]) == ([200, 429, 429], 200)


def test_the_first_part_of_a_stream_comes_before_the_last(features):
    with features.open() as connection:
        connection.sendall(b"GET /drip HTTP/1.0\r\nHost: features.test\r\n\r\n")
        got = b""
        while b"first" not in got:
            got += connection.recv(65536)
        assert b"last" not in got
        while part := connection.recv(65536):
            got += part
    assert got.endswith(b"firstlast")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/x", 90_000, 200), ("/x", 110_000, 413), ("/upload", 4_000_000, 200), ("/upload", 6_000_000, 413)],
)
def test_how_large_a_body_may_be(features, path, size, status):
    answer = features.ask(path, method="POST", body=b"x" * size)
    assert answer.status == status
    if path == "/upload" and status == 200:
        assert answer.json()["size"] == size


def test_an_upload_reaches_the_app_before_it_has_ended(features):
    with features.open() as connection:
        head = b"POST /upload/slow HTTP/1.1\r\nHost: features.test\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head + b"x" * 5000)
        # the other 95,000 bytes are never sent
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_how_long_a_header_may_be(features, hello):
    header = {"X-Long": "x" * 5000}
    assert features.ask("/", headers=header).status == 400
    assert hello.ask("/", headers=header).status == 200


def test_who_never_ends_a_request_is_let_go(hello):
    with hello.open(timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: hello.test\r\nX-Slow: ")
        try:
            said = connection.recv(1000)
        except ConnectionResetError:
            said = b""
    assert said == b"" or said.startswith(b"HTTP/1.1 408 ")


def test_snippets_are_in_their_places(features):
    assert [features.ask(f"/color?color={color}").text for color in ("red", "blue")] == ["red", "grey"]
    assert [features.ask(path).status for path in ("/noted?busy=1", "/?busy=1")] == [409, 200]
