# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a real TLS server, and the observations on the host."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import site_requests
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import (
    ABSENT,
    APP,
    FAILED,
    MAINTENANCE,
    OK,
    SKIPPED,
    Judgement,
    Question,
)
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import (
    Site,
    ask,
    certificate_in,
    faults_as,
    may_connect,
    may_read,
    served_certificate,
    stale_names,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROBE = Probe(path="/health", host="x", statuses=(200,), successes=1, timeout=2, deadline=1)


def make_pem(path, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


class Nginx:
    """A server that answers like an nginx site with the mark; ``requests`` records the requests."""

    def __init__(self, directory):
        self.pem = directory / "live.pem"
        self.digest = make_pem(self.pem, "a.test")
        self.requests, self.names, self.more = [], [], []
        self.answer = (200, "a.test|unix:/run/hello/live.sock|200")
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, self.headers["Host"], self.headers["X-Asgi-Site-Check"]))
                status, mark = outer.answer
                self.send_response(status)
                for value in filter(None, (mark, *outer.more)):
                    self.send_header("X-Asgi-Site-Check", value)
                self.end_headers()
                self.wfile.write(b"<h1>some   text</h1>")

            def log_message(self, *_arguments):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def site(self, pem=None):
        return (
            f"server {{ listen {self.port} ssl; server_name a.test; ssl_certificate {pem or self.pem};\n"
            "add_header X-Asgi-Site-Check $asgi_site_check always; location / { proxy_pass http://asgi_hello; } }"
        )


@pytest.fixture
def nginx(tmp_path):
    server = Nginx(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


def question(port, **changes):
    return Question(
        **{
            "kind": APP,
            "name": "a.test",
            "server": "a.test",
            "port": port,
            "tls": True,
            "proxy_protocol": False,
            "ipv6": False,
            "first": True,
            "certificate": None,
            **changes,
        }
    )


def test_a_mark_repeated_by_a_snippet(nginx):
    nginx.more.append(nginx.answer[1])
    assert ask(question(nginx.port), "127.0.0.1", "/health", 2)["mark"]["status"] == 200


@pytest.mark.parametrize(("kind", "value"), [(APP, "self"), (MAINTENANCE, "visitor")])
def test_the_request_of_a_question(nginx, kind, value):
    answer = ask(question(nginx.port, kind=kind), "127.0.0.1", "/health", 2)

    assert answer == {
        "address": "127.0.0.1",
        "status": 200,
        "mark": {"server": "a.test", "upstream": "unix:/run/hello/live.sock", "status": 200},
        "body": "some text",
        "certificate": nginx.digest,
    }
    assert nginx.names == ["a.test"]
    assert nginx.requests == [("/health", f"a.test:{nginx.port}", value)]


def test_requests_to_this_host_come_from_the_loopback_address():
    """nginx treats these requests as local, regardless of the address on which the site listens."""
    address = site_requests.outward_address(socket.AF_INET)
    if address is None:
        pytest.skip("this host has no route to others")
    with socket.create_server((address, 0)) as server:
        asking = threading.Thread(
            target=ask, args=(question(server.getsockname()[1], tls=False), address, "/health", 0.5)
        )
        asking.start()
        connection, peer = server.accept()
        connection.close()
        asking.join()
    assert peer[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("proxy_protocol", "first"), [(True, b"PROXY TCP4 127.0.0.1 127.0.0.1 "), (False, b"\x16\x03")]
)
def test_the_proxy_protocol_comes_first(proxy_protocol, first):
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen = []

        def listen():
            with server.accept()[0] as connection:
                seen.append(connection.recv(1000))

        listener = threading.Thread(target=listen)
        listener.start()
        port = server.getsockname()[1]
        answer = ask(question(port, proxy_protocol=proxy_protocol), "127.0.0.1", "/health", 2)
        listener.join()
    assert seen[0].startswith(first)
    assert answer["fault"]


def test_a_slow_response_is_a_fault():
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n")
                while not over.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        answer = ask(question(server.getsockname()[1], tls=False), "127.0.0.1", "/health", 0.5)
        over.set()
        thread.join()
    assert answer["fault"] == "TimeoutError: no complete answer within 0.5 s"


def test_errors_instead_of_responses():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "ConnectionRefusedError" in ask(question(port), "127.0.0.1", "/health", 2)["fault"]
    assert served_certificate("a.test", port) is None


def test_certificates(nginx, tmp_path, monkeypatch):
    monkeypatch.setattr(site_requests, "addresses", lambda: {socket.AF_INET: "127.0.0.1", socket.AF_INET6: None})
    other = tmp_path / "other.pem"
    make_pem(other, "a.test")

    assert certificate_in(str(nginx.pem)) == served_certificate("a.test", nginx.port) == nginx.digest
    assert certificate_in(str(tmp_path / "none")) is certificate_in(None) is None
    assert stale_names(nginx.site()) == []
    assert stale_names(nginx.site(other)) == ["a.test"]
    # without the site's certificate file, there is nothing to compare
    assert stale_names(nginx.site(tmp_path / "none")) == []
    # another site, which nginx reads first, answers with its own certificate
    nginx.answer = (200, "other.test||")
    assert stale_names(nginx.site(other)) == []
    nginx.answer = (200, None)
    assert stale_names(nginx.site(other)) == []


def test_access_of_an_account(tmp_path):
    here = {"uid": os.geteuid(), "gid": os.getegid(), "groups": os.getgroups()}
    path = str(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        assert faults_as(
            here, {"socket": lambda: may_connect(path), "page": lambda: may_read(str(tmp_path / "no"))}
        ) == {
            "socket": "",
            "page": "",
        }
    assert "Connection refused" in may_connect(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its account")
def test_access_of_another_account(tmp_path):
    nobody = {"uid": 65534, "gid": 65534, "groups": []}
    for each in (tmp_path, *list(tmp_path.parents)[:-2]):
        each.chmod(0o755)
    page, closed = tmp_path / "page", tmp_path / "closed"
    page.write_text("page")
    page.chmod(0o600)
    closed.mkdir(mode=0o700)
    (closed / "page").write_text("page")

    found = faults_as(
        nobody, {"file": lambda: may_read(str(page)), "directory": lambda: may_read(str(closed / "page"))}
    )

    assert found == {
        "file": f"{page} (root:root 0600): Permission denied",
        "directory": f"no search permission on {closed} (root:root 0700)",
    }


class FakeApp:
    """An app that receives no requests, because the test provides the judgements of the site."""

    dry = False

    def __init__(self):
        self.paths = layout("hello")
        self.changes = []

    def live_pair(self):
        return None


GOOD, BAD, NONE = (Judgement(verdict, [], []) for verdict in (OK, FAILED, ABSENT))


@pytest.fixture
def site(monkeypatch):
    """Return a site whose checks before and after a change return the judgements in ``coming`` in turn."""
    site = Site(FakeApp(), None, PROBE)
    site.coming = []
    monkeypatch.setattr(site, "wait", lambda _seconds: site.coming.pop(0))
    monkeypatch.setattr(site_requests, "wait_healthy", lambda _path, _probe: "")
    return site


@pytest.mark.parametrize(
    ("before", "after", "may_switch_back", "given_back"),
    [
        (GOOD, GOOD, True, False),
        (GOOD, BAD, True, True),
        (GOOD, BAD, False, False),
        # the site failed before the change too, so the release is not the cause
        (BAD, BAD, True, False),
        (BAD, GOOD, True, False),
        (NONE, NONE, True, False),
    ],
)
def test_traffic_returns_to_the_old_slot_only_if_the_site_got_worse(site, before, after, may_switch_back, given_back):
    site.coming = [before, after, after]
    faults = []

    def change(verify):
        site.app.changes.append("flip")
        faults.append(verify())
        return "green"

    assert site.across(change, may_switch_back) == ("green", after)
    assert bool(faults[0]) is given_back


def test_traffic_returns_from_an_unhealthy_slot(site, monkeypatch):
    monkeypatch.setattr(site_requests, "wait_healthy", lambda _path, _probe: "GET /health answered 500")
    # a release must answer on its own socket, even if the site failed before the change
    site.coming = [BAD, BAD]

    def change(verify):
        assert verify() == "GET /health answered 500"
        site.app.changes.append("flip")
        return "green"

    site.across(change)


def test_the_response_after_the_stop_of_the_old_slot_counts(site):
    """Until the old slot stops, nginx may use an idle connection to it."""
    site.coming = [GOOD, GOOD, BAD]

    def change(verify):
        assert verify() == ""
        site.app.changes.append("flip")
        return "green"

    assert site.across(change) == ("green", BAD)


def test_an_unchanged_app_receives_one_request(site):
    site.coming = [GOOD]
    assert site.across(lambda _verify: "blue") == ("blue", GOOD)
    assert site.coming == []


def test_a_repaired_slot_receives_another_request(site):
    site.coming = [BAD, GOOD]
    assert site.across(lambda _verify: site.app.changes.append("start") or "blue") == ("blue", GOOD)


def test_check_mode_skips_requests_before_changes(site):
    site.app.dry = True
    site.coming = [BAD]
    _slot, judgement = site.across(lambda _verify: site.app.changes.append("start"))
    assert (judgement.verdict, judgement.failed) == (SKIPPED, False)
    # without changes, check mode does request the site, because a real run would leave it as it is
    site.app.changes.clear()
    site.coming = [BAD]
    assert site.across(lambda _verify: "blue") == ("blue", BAD)


def test_worker_account(tmp_path, monkeypatch):
    texts = {
        "/proc/7/cmdline": "nginx: worker process is shutting down",
        "/proc/6/cmdline": "nginx: worker process",
        "/proc/6/status": "Name:\tnginx\nUid:\t33\t34\t33\t33\nGid:\t35\t36\t35\t35\nGroups:\t36 40 \n",
        "/proc/5/cmdline": "nginx: cache manager process",
    }
    monkeypatch.setattr(site_requests, "children", lambda _pid: {5, 6, 7})
    monkeypatch.setattr(site_requests, "read_text", texts.get)

    assert site_requests.worker_account(4) == {"uid": 34, "gid": 36, "groups": [36, 40]}


def test_the_configuration_is_that_of_nginx(monkeypatch):
    dump = (
        "# configuration file /etc/nginx/nginx.conf:\nhttp { include x; }\n"
        "# configuration file /etc/nginx/sites-enabled/x:\nserver { listen 443 ssl; server_name B.test .c.test; }\n"
    )
    monkeypatch.setattr(site_requests.os.path, "exists", lambda _path: True)
    site = Site(FakeApp(), lambda _argv: (0, dump, ""), PROBE)

    assert site._read_config() == {
        "fault": "",
        "loads_site": False,
        "servers": [
            {
                "file": "/etc/nginx/sites-enabled/x",
                "names": ["*.c.test", "b.test", "c.test"],
                "listens": [["*", 443]],
            }
        ],
    }
    site = Site(FakeApp(), lambda _argv: (1, "", "nginx: [emerg] a duplicate default server"), PROBE)
    assert site._read_config()["fault"] == "[emerg] a duplicate default server"


def test_observe_requests_each_name_and_identifies_the_site(nginx, tmp_path, monkeypatch):
    """Responses of a location with its own headers lack the mark; responses of nginx itself have it."""
    path = tmp_path / "asgi-hello.conf"
    path.write_text(nginx.site())
    site = Site(FakeApp(), lambda _argv: (0, "", ""), PROBE)
    site.paths = {**site.paths, "nginx_site": str(path)}
    monkeypatch.setattr(site, "_observe_slot", lambda seen: seen.update(live="green"))
    monkeypatch.setattr(site, "_observe_nginx", lambda seen: seen["nginx"].update(running=True, user="u") or 1)
    site.app.hide = lambda text, _pair: text
    nginx.answer = (200, None)

    seen = site.observe()

    assert [each[0] for each in nginx.requests] == ["/health", "/asgi-maintenance.html"]
    assert seen["responses"][0]["answer"]["ours"] is False
    assert seen["config"] is not None
    assert seen["responses"][0]["answer"]["wanted_certificate"] == nginx.digest

    nginx.answer = (200, "a.test|unix:/run/hello/live.sock|200")
    assert site.observe()["config"] is None


def test_requests_as_visitor_use_another_path_than_the_health_url(nginx, tmp_path, monkeypatch):
    path = tmp_path / "asgi-hello.conf"
    path.write_text(nginx.site())
    site = Site(FakeApp(), None, PROBE, expect=MAINTENANCE)
    site.paths = {**site.paths, "nginx_site": str(path)}
    site.app.hide = lambda text, _pair: text
    monkeypatch.setattr(site, "_observe_slot", lambda _seen: None)
    monkeypatch.setattr(site, "_observe_nginx", lambda seen: seen["nginx"].update(running=True) or 1)
    nginx.answer = (503, "a.test||")

    assert site.wait(0) == Judgement(OK, [], [])
    assert nginx.requests == [("/asgi-site-check", f"a.test:{nginx.port}", "visitor")]


def test_a_host_without_a_site_receives_no_requests(tmp_path):
    site = Site(FakeApp(), None, PROBE)
    site.paths = {**site.paths, "nginx_site": str(tmp_path / "none")}
    assert site.wait(0).verdict == ABSENT


def test_wait_repeats_requests_until_the_site_answers(monkeypatch):
    coming = iter([BAD, BAD, GOOD])
    site = Site(FakeApp(), None, PROBE)
    monkeypatch.setattr(site, "observe", dict)
    monkeypatch.setattr(site_requests.decide, "judge", lambda _seen: next(coming))
    monkeypatch.setattr(site_requests, "time", SimpleNamespace(monotonic=lambda: 0, sleep=lambda _seconds: None))
    assert site.wait(1) == GOOD
