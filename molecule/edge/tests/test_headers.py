"""Headers of all answers of nginx and the app, and headers that the app and the access log receive."""

from __future__ import annotations

import base64
import re
import uuid

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import CLEARED

pytestmark = pytest.mark.smoke

UNTRUSTED = {"X-Forwarded-For": "203.0.113.66"}

# path, status, options of the request: one for each location of the site
ANSWERS = {
    "the app": ("/", 200, {}),
    "a location": ("/noted", 200, {}),
    "a snippet": ("/color", 200, {}),
    "a file": ("/files/page.js", 200, {}),
    "an immutable file": ("/files/page.4f0c1d2a9b.js", 200, {}),
    "a missing file": ("/files/nothing.js", 404, {}),
    "a hidden file": ("/files/.hidden", 404, {}),
    "a missing password": ("/admin", 401, {}),
    "a forbidden address": ("/office", 403, {"headers": UNTRUSTED}),
    "a body that is too large": ("/", 413, {"method": "POST", "body": b"x" * 200_000}),
    "another name": ("/", 308, {"name": "old.test"}),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_has_each_header_of_the_site_once(features, answer):
    path, status, options = ANSWERS[answer]
    received = features.ask(path, **options)
    assert received.status == status
    assert received.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert received.headers.get_all("Strict-Transport-Security") == ["max-age=31536000; includeSubDomains; preload"]
    (request_id,) = received.headers.get_all("X-Request-ID")
    assert re.fullmatch("[0-9a-f]{32}", request_id)


def test_request_has_the_same_id_everywhere(features):
    answer = features.ask("/noted?x=1")
    request_id = answer.headers["X-Request-ID"]
    assert answer.json()["headers"]["x-request-id"] == request_id
    (line,) = features.logged(request_id)
    assert (line["uri"], line["status"], line["upstream_status"]) == ("/noted", 200, "200")
    for timing in ("seconds", "upstream_connect_seconds", "upstream_header_seconds", "upstream_seconds"):
        assert float(line[timing]) >= 0


@pytest.mark.parametrize("path", ["/up", "/quiet"])
def test_locations_without_access_log(features, path):
    request_id = features.ask(path).headers["X-Request-ID"]
    after = features.ask("/noted").headers["X-Request-ID"]
    assert len(features.logged(after)) == 1
    assert request_id not in features.access_log()


def test_headers_of_a_trusted_balancer_are_used(features):
    given = f"from-the-balancer.{uuid.uuid4()}"
    sent = {
        "X-Forwarded-For": "192.0.2.1, 198.51.100.7, 172.16.0.9",
        "X-Forwarded-Proto": "http",
        "X-Request-ID": given,
        "Forwarded": "for=192.0.2.1",
    }
    answer = features.ask("/", headers=sent)
    received = answer.json()
    # The last address that is not a balancer's. A client can forge those before it.
    assert (received["client"][0], received["scheme"]) == ("198.51.100.7", "http")
    assert received["headers"]["x-forwarded-for"] == "198.51.100.7"
    assert received["headers"]["x-request-id"] == answer.headers["X-Request-ID"] == given
    assert "forwarded" not in received["headers"]
    (line,) = features.logged(given)
    assert line["client"] == "198.51.100.7"


@pytest.mark.parametrize("request_id", ["short", "x" * 129, 'quote"and space', "a/b/c/d/e/f"])
def test_invalid_request_id_is_replaced(features, request_id):
    answer = features.ask("/", headers={"X-Forwarded-For": "198.51.100.7", "X-Request-ID": request_id})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_headers_of_an_untrusted_client_are_replaced(hello):
    sent = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "http", "X-Request-ID": "made-up-by-a-client"}
    answer = hello.ask("/whoami", headers=sent)
    assert answer.json()["scheme"] == "https"
    assert answer.json()["client"].startswith("172.")
    assert answer.headers["X-Request-ID"] != "made-up-by-a-client"


@pytest.mark.parametrize("trusted", [False, True])
# with the request headers of the server, and with those of a location
@pytest.mark.parametrize("path", ["/", "/noted"])
def test_only_trusted_clients_can_set_identity_headers(features, path, trusted):
    received = {}
    # In several requests, because the site accepts 16 kB of headers.
    names = [*CLEARED, "X-Company-User"]
    for start in range(0, len(names), 30):
        sent = {name: "from-a-client" for name in names[start : start + 30] if name != "X-Asgi-Site-Check"}
        sent.update({name.replace("-", "_"): value for name, value in sent.items()})
        client = {"X-Forwarded-For": "198.51.100.7"} if trusted else {}
        answer = features.ask(path, headers={**sent, **client})
        assert answer.status == 200
        received.update(answer.json()["headers"])
    arrived = {name for name, value in received.items() if value == "from-a-client"}
    assert arrived == ({"x-forwarded-user", "x-company-user"} if trusted else set())
    # The snippet of the site sets this one.
    assert received["x-forwarded-prefix"] == "/of-the-snippet"


def test_client_cannot_remove_headers_of_the_site(features):
    """A proxy may remove the headers that Connection lists, because they apply to one connection only."""
    ours = "X-Real-IP, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-ID"
    received = features.ask("/", headers={"Connection": f"close, {ours}"}).json()["headers"]
    assert [name for name in ours.lower().split(", ") if name not in received] == []


def test_password_is_verified_and_forwarded(features):
    password = "Basic " + base64.b64encode(b"alice:open sesame").decode()
    received = features.ask("/admin", headers={"Authorization": password, "Remote-User": "root"}).json()["headers"]
    assert received["authorization"] == password
    assert [value for value in received.values() if value in ("alice", "root")] == []


def test_client_address_comes_from_the_proxy_protocol_only(behind):
    sent = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "X-Request-ID": "made-up-by-a-client"}
    first = b"PROXY TCP4 198.51.100.7 198.51.100.1 4711 443\r\n"
    received = behind.ask("/", inside=8443, headers=sent, first=first).json()
    assert (received["client"][0], received["scheme"]) == ("198.51.100.7", "https")
    assert received["headers"]["x-request-id"] != "made-up-by-a-client"


def test_client_without_proxy_protocol_is_rejected(behind):
    with pytest.raises(OSError, match="."):
        behind.ask("/", inside=8443)


def test_conflicting_port_settings_of_two_sites_fail(playbook):
    output = playbook.fails("site", "--check", "--limit", "debian13-features", asgi_proxy_https_port=8443)
    assert "all sites of port 8443 share some settings" in output
    assert "proxy_protocol is true and not false" in output
    assert "asgi-behind.conf" in output
