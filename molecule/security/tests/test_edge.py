"""A client cannot impersonate a user or another client, or redirect links and responses to another host."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess

import probe
import pytest
from security.target import MACHINE, port

SITE = "intruder.test"
EVIL = "evil.test"
# Returns the headers of the current request, as the app's server receives them.
SCOPE = """
import gc
result = [
    [name.decode(), value.decode()]
    for each in gc.get_objects()
    if isinstance(each, dict) and each.get("type") == "http" and each.get("path") == "/run"
    for name, value in each["headers"]
]
"""


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def send(request: str, *, tls: bool = True) -> bytes:
    """Return the raw response to *request*; empty if the connection is closed without one."""
    with (
        contextlib.suppress(ConnectionError),
        probe.open_socket(SITE, port(443 if tls else 80), tls=tls) as connection,
    ):
        connection.sendall(f"{request}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        return read_all(connection)
    return b""


# Requests that replace "GET / HTTP/1.1" and "Host: intruder.test", by name.
HOSTS = {
    "another host": f"GET / HTTP/1.1\r\nHost: {EVIL}",
    "a path before the name": f"GET / HTTP/1.1\r\nHost: {EVIL}/x.{SITE}",
    "a query before the name": f"GET / HTTP/1.1\r\nHost: {EVIL}?x.{SITE}",
    "a user before the name": f"GET / HTTP/1.1\r\nHost: {EVIL}@{SITE}",
    "a backslash before the name": f"GET / HTTP/1.1\r\nHost: {EVIL}\\x.{SITE}",
    "a list of names": f"GET / HTTP/1.1\r\nHost: {SITE},{EVIL}",
    "a host for a port": f"GET / HTTP/1.1\r\nHost: {SITE}:443@{EVIL}",
    "two hosts": f"GET / HTTP/1.1\r\nHost: {SITE}\r\nHost: {EVIL}",
    "two hosts, the other way round": f"GET / HTTP/1.1\r\nHost: {EVIL}\r\nHost: {SITE}",
    "the site in the request line": f"GET https://{SITE}/ HTTP/1.1\r\nHost: {EVIL}",
    "another host in the request line": f"GET http://{EVIL}/ HTTP/1.1\r\nHost: {SITE}",
    "a request line without a path": f"GET @{EVIL} HTTP/1.1\r\nHost: {SITE}",
    "no host": "GET / HTTP/1.0\r\nX-Nothing: 1",
    # The app would put this port into links, such as those of password-reset mails. nginx's redirects never contain a port.
    "another port": f"GET / HTTP/1.1\r\nHost: {SITE}:4321",
}


@pytest.mark.parametrize("attempt", HOSTS)
def test_request_for_another_host_does_not_reach_the_app(attempt):
    answer = send(HOSTS[attempt])
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421"), answer
    assert EVIL.encode() not in answer


@pytest.mark.parametrize("attempt", HOSTS)
def test_redirect_does_not_lead_to_another_host(attempt):
    answer = send(HOSTS[attempt], tls=False)
    assert EVIL.encode() not in answer
    location = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"location:")]
    assert location in ([], [f"Location: https://{SITE}/".encode()])


# Proxy headers that a client sends, by attack.
IDENTITIES = {
    "a user": ["X-Forwarded-User", "Remote-User", "X-Remote-User", "X-Auth-Request-User", "X-Auth-Request-Email"],
    "a group": ["X-Forwarded-Groups", "Remote-Groups", "X-Auth-Request-Groups", "X-Remote-Group"],
    "a user of a cloud": ["X-MS-Client-Principal-Name", "X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Identity"],
    "a certificate": ["X-SSL-Client-Verify", "X-SSL-Client-S-Dn", "SSL-Client-Cert", "X-Client-Cert"],
    "a certificate of a mesh": ["X-Forwarded-Client-Cert", "Client-Cert", "X-Amzn-Mtls-Clientcert"],
    "an address": ["True-Client-IP", "CF-Connecting-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP"],
    "an address in standard headers": ["Forwarded", "X-Original-Forwarded-For", "X-ProxyUser-Ip"],
    "another path": ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Script-Name"],
    "another host": ["X-Original-Host", "X-Forwarded-Server", "X-Host", "X-Forwarded-Port"],
    "another scheme": ["X-Scheme", "X-Forwarded-Ssl", "Front-End-Https", "X-Url-Scheme"],
    "the site check": ["X-Asgi-Site-Check"],
    "the proxy of a CGI program": ["Proxy"],
}


def received(intruder, headers: dict[str, str]) -> dict[str, str]:
    """Send a request with *headers*, and return the headers that the app receives, with lower-case names."""
    pairs = intruder.ask("/run", method="POST", body=SCOPE.encode(), headers=headers).json()["result"]
    assert pairs
    return dict(pairs)


@pytest.mark.parametrize("separator", ["-", "_"])
@pytest.mark.parametrize("attempt", IDENTITIES)
def test_client_cannot_set_proxy_headers(intruder, attempt, separator):
    names = [name.replace("-", separator) for name in IDENTITIES[attempt]]
    assert "pwned-header" not in received(intruder, dict.fromkeys(names, "pwned-header")).values()


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-ID"]
)
def test_client_cannot_set_headers_of_the_site(intruder, name):
    assert received(intruder, {name: "pwned-header"})[name.lower()] != "pwned-header"


def test_client_cannot_remove_headers_of_the_site(intruder):
    """A proxy may remove the headers that Connection lists, because they apply to one connection only."""
    ours = "X-Real-IP, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-ID"
    headers = received(intruder, {"Connection": f"close, {ours}"})
    assert [name for name in ours.lower().split(", ") if name not in headers] == []


CONFIGURATION = "/etc/nginx/conf.d/zz-strict.conf"
STRICT = """server {
    listen 443 ssl;
    server_name strict.test;
    ssl_certificate /etc/asgi/intruder/tls/live.pem;
    ssl_certificate_key /etc/asgi/intruder/tls/live.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:asgi:10m;
    ssl_session_tickets off;
    ssl_verify_client on;
    ssl_client_certificate /etc/asgi/intruder/tls/live.pem;
    return 200 "pwned-strict";
}
"""


@pytest.fixture(scope="module")
def strict():
    """A second site that requires client certificates."""

    def run(command):
        subprocess.run(["docker", "exec", MACHINE, "sh", "-c", command], check=True, capture_output=True)

    text = base64.b64encode(STRICT.encode()).decode()
    run(f"echo {text} | base64 -d >{CONFIGURATION} && nginx -t && systemctl reload nginx && sleep 1")
    yield
    run(f"rm {CONFIGURATION} && systemctl reload nginx")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
@pytest.mark.parametrize("resumed", [False, True], ids=["a new session", "a session of the lax site"])
@pytest.mark.parametrize("name", [SITE, "strict.test"])
@pytest.mark.usefixtures("strict")
def test_site_with_client_certificates_rejects_other_clients(version, resumed, name):
    context = probe.tls_context(None)
    context.minimum_version = context.maximum_version = version

    def ask(server_name, host, session=None):
        with (
            socket.create_connection(("127.0.0.1", port(443)), 10) as plain,
            context.wrap_socket(plain, server_hostname=server_name, session=session) as encrypted,
        ):
            encrypted.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return read_all(encrypted), encrypted.session

    answer, session = ask(SITE, SITE)
    assert answer.startswith(b"HTTP/1.1 200")
    try:
        answer, _session = ask(name, "strict.test", session if resumed else None)
    except ssl.SSLError:
        return  # nginx aborts the handshake of a session from another site
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421")
    assert b"pwned-strict" not in answer
