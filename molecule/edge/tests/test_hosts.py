"""nginx forwards only the names and ports of the site, and redirects only to them."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import probe
import pytest

pytestmark = pytest.mark.smoke

TABLE = json.loads((Path(__file__).parents[1] / "request_hosts.json").read_text())


@pytest.fixture
def ask(features):
    """Return a function that sends each Host header unchanged on its own connection, and returns status, Location and body."""

    def one(request, tls):
        name = "a.wild.test" if "wild" in request else "features.test"
        port = features.port(443 if tls else 80)
        with probe.open_socket(name, port, tls=tls) as connection:
            connection.sendall(f"{request}\r\nConnection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(connection)
            try:
                answer.begin()
            except ConnectionError:
                return None, None, b""
            return answer.status, answer.headers["Location"], answer.read()

    def several(hosts, tls=True, line="GET /p?q=1 HTTP/1.1"):
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda host: one(f"{line}\r\nHost: {host}", tls), hosts)
            return dict(zip(hosts, answers, strict=True))

    return several


def test_app_receives_a_normalized_server_name(ask):
    headers = {host: json.loads(body)["headers"] for host, (_status, _to, body) in ask(list(TABLE["passed"])).items()}
    assert {host: received["host"] for host, received in headers.items()} == TABLE["passed"]
    assert {host: received["x-forwarded-host"] for host, received in headers.items()} == TABLE["passed"]


@pytest.mark.parametrize(("kind", "statuses"), [("refused", (400, 421)), ("misdirected", (421,))])
def test_foreign_hosts_are_rejected(ask, kind, statuses):
    observed = {host: status for host, (status, *_rest) in ask(TABLE[kind]).items()}
    assert {host: status for host, status in observed.items() if status not in statuses} == {}


def test_redirect_targets_the_site(ask):
    hosts = [*TABLE["passed"], *TABLE["misdirected"]]
    redirects = {host: (status, to) for host, (status, to, _body) in ask(hosts, tls=False).items()}
    names = {host: host.partition(":")[0].lower() for host in hosts}
    assert redirects == {host: (308, f"https://{name}/p?q=1") for host, name in names.items()}
    # (None, None): nginx closes the connection without a response, because no site has that name.
    others = {host: (status, to) for host, (status, to, _body) in ask(TABLE["refused"], tls=False).items()}
    assert {host: each for host, each in others.items() if each not in ((400, None), (None, None))} == {}


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        ("GET https://features.test/p HTTP/1.1", "features.test", 200),
        ("GET https://features.test/p HTTP/1.1", "a.wild.test", 400),
        ("GET https://features.test/p HTTP/1.1", "evil.test", 400),
        ("GET https://evil.test/p HTTP/1.1", "features.test", 421),
        ("GET https://features.test:443@evil.test/p HTTP/1.1", "features.test", 400),
        ("GET /p HTTP/1.1", "features.test\r\nHost: features.test", 400),
        ("GET /p HTTP/1.1", "features.test\r\nHost: evil.test", 400),
        ("GET /p HTTP/1.0", "features.test", 200),
        ("GET @evil.test HTTP/1.1", "features.test", 400),
        ("OPTIONS * HTTP/1.1", "features.test", 400),
    ],
)
def test_host_of_the_request_line_is_checked(ask, line, host, status):
    assert ask([host], line=line)[host][0] == status


def test_request_without_host_is_rejected(features):
    with features.open() as connection:
        connection.sendall(b"GET /p HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
