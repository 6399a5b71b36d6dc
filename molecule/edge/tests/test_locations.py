"""Access control, rate limits, body sizes and buffering of locations."""

from __future__ import annotations

import base64
import os
import time
from concurrent.futures import ThreadPoolExecutor

import probe
import pytest


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
        # test_paths.py tests other spellings of the path.
        # WebSockets
        ("/admin", {"Upgrade": "websocket", "Connection": "Upgrade"}, 401),
        ("/office", {"X-Forwarded-For": "198.51.100.7"}, 200),
        ("/office", {"X-Forwarded-For": "198.51.100.9"}, 403),
        ("/office", {"X-Forwarded-For": "203.0.113.66"}, 403),
        ("/office", {"X-Forwarded-For": "203.0.113.66", "Upgrade": "websocket", "Connection": "Upgrade"}, 403),
    ],
)
def test_access_control(features, path, headers, status):
    assert features.ask(path, headers=headers).status == status


def test_only_nginx_can_read_the_password_hashes(features):
    file = features.host.file("/etc/asgi/features/htpasswd")
    assert (file.user, file.group, file.mode) == ("root", "www-data", 0o640)
    assert file.content_string.startswith("alice:$6$")


def test_websocket_reaches_the_app(features):
    port = features.port()
    assert probe.websocket_echo("features.test", port, "/any", "over the socket", ca=features.ca) == "over the socket"
    assert probe.websocket_echo("features.test", port, "/drip", "over the socket", ca=features.ca) == "over the socket"


def test_rate_limit_per_client(features):
    # A new address for each run, because nginx counts per address. The rate is one per minute with a burst of two.
    client = {"X-Forwarded-For": f"203.0.113.{os.getpid() % 200 + 1}"}
    others = {"X-Forwarded-For": f"192.0.2.{os.getpid() % 200 + 1}"}
    statuses = [features.ask("/limited", headers=client).status for _turn in range(6)]
    assert statuses == [200, 200, 200, 429, 429, 429]
    assert features.ask("/", headers=client).status == 200
    assert features.ask("/limited/below", headers=client).status == 429
    assert features.ask("/limited", headers=others).status == 200


def test_connection_limit_per_client(features):
    def ask(address):
        return features.ask("/drip", headers={"X-Forwarded-For": address}).status

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(ask, ["203.0.113.201"] * 3 + ["203.0.113.202"]))
    assert (sorted(statuses[:3]), statuses[3]) == ([200, 429, 429], 200)


def test_stream_is_not_buffered(features):
    with features.open() as connection:
        connection.sendall(b"GET /drip HTTP/1.0\r\nHost: features.test\r\n\r\n")
        received = b""
        while b"first" not in received:
            received += connection.recv(65536)
        assert b"last" not in received
        while part := connection.recv(65536):
            received += part
    assert received.endswith(b"firstlast")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/x", 90_000, 200), ("/x", 110_000, 413), ("/upload", 4_000_000, 200), ("/upload", 6_000_000, 413)],
)
def test_body_size_limit(features, path, size, status):
    answer = features.ask(path, method="POST", body=b"x" * size)
    assert answer.status == status
    if path == "/upload" and status == 200:
        assert answer.json()["size"] == size


def test_upload_is_not_buffered(features):
    with features.open() as connection:
        head = b"POST /upload/slow HTTP/1.1\r\nHost: features.test\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head + b"x" * 5000)
        # The remaining 95,000 bytes are never sent.
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_header_size_limit(features, hello):
    header = {"X-Long": "x" * 5000}
    assert features.ask("/", headers=header).status == 400
    assert hello.ask("/", headers=header).status == 200


def test_incomplete_request_times_out(hello):
    with hello.open(timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: hello.test\r\nX-Slow: ")
        try:
            answer = connection.recv(1000)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_snippets_apply_to_their_locations(features):
    assert [features.ask(f"/color?color={color}").text for color in ("red", "blue")] == ["red", "grey"]
    assert [features.ask(path).status for path in ("/noted?busy=1", "/?busy=1")] == [409, 200]


def test_snippets_add_headers_to_those_of_the_site(features):
    forged = {
        "X-Forwarded-Protocol": "http",
        "X-Forwarded-Ssl": "off",
        "Forwarded": "for=192.0.2.1",
        "X-Scheme": "http",
    }
    for path, own in {"/noted": {"x-noted": "here"}, "/": {}, "/upload": {}}.items():
        answer = features.ask(path, headers={"X-Forwarded-For": "203.0.113.66", **forged})
        assert answer.headers.get_all("X-Site") == ["features"]
        assert answer.headers["X-Noted"] == own.get("x-noted")
        if path != "/upload":
            received = answer.json()["headers"]
            expected = {"x-forwarded-for": "203.0.113.66", "x-forwarded-proto": "https", "host": "features.test"}
            # The header of the snippet replaces that of the site.
            expected |= {"x-site": "features", "x-forwarded-prefix": "/of-the-snippet", **own}
            assert {name: received.get(name) for name in expected} == expected
            assert not {name.lower() for name in forged} & set(received)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/noted?busy=1", 409, "/* as it is */"),  # page of the location
        ("/office", 403, "below"),  # page of the server, in a location
        ("/files/", 403, "below"),  # page of the server, in a location of files
        ("/admin/files/", 401, "<html>"),
        ("/files/nothing.css", 404, "// a line"),  # missing in both slots
        ("/files/.hidden", 404, "// a line"),
    ],
)
def test_error_pages_of_snippets(features, path, status, text):
    answer = features.ask(path, headers={"X-Forwarded-For": "203.0.113.66"})
    assert (answer.status, answer.text.startswith(text)) == (status, True)


def test_error_page_if_the_app_does_not_answer(features):
    socket = "/run/features/live.sock"
    features.host.check_output(f"mv {socket} {socket}.away")
    try:
        time.sleep(3)  # nginx keeps idle connections open for two seconds
        answers = {path: features.ask(path) for path in ("/", "/noted", "/up")}
        upgrade = features.ask("/", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
    finally:
        features.host.check_output(f"mv {socket}.away {socket}")
    assert {path: (answer.status, answer.text.strip()) for path, answer in answers.items()} == dict.fromkeys(
        answers, (502, "below")
    )
    assert upgrade.status == 502
    assert features.ask("/").status == 200
