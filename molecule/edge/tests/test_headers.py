"""What every answer carries, whoever in nginx or behind it gives it; and what the app and the log are told."""

from __future__ import annotations

import re
import uuid

import pytest

NOBODY = {"X-Forwarded-For": "203.0.113.66"}

# path -> status, and what is asked beside it: one for each location of the site that has headers of its own or none
ANSWERS = {
    "the app": ("/", 200, {}),
    "a location": ("/noted", 200, {}),
    "a snippet": ("/color", 200, {}),
    "a file": ("/files/page.js", 200, {}),
    "a file that never changes": ("/files/page.4f0c1d2a9b.js", 200, {}),
    "no file": ("/files/nothing.js", 404, {}),
    "a hidden file": ("/files/.hidden", 404, {}),
    "no password": ("/admin", 401, {}),
    "a wrong address": ("/office", 403, {"headers": NOBODY}),
    "too much": ("/", 413, {"method": "POST", "body": b"x" * 200_000}),
    "another name": ("/", 308, {"name": "old.test"}),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_has_the_headers_of_the_site_once(features, answer):
    path, status, options = ANSWERS[answer]
    got = features.ask(path, **options)
    assert got.status == status
    assert got.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert got.headers.get_all("Strict-Transport-Security") == ["max-age=31536000; includeSubDomains; preload"]
    (request_id,) = got.headers.get_all("X-Request-ID")
    assert re.fullmatch("[0-9a-f]{32}", request_id)


def test_a_request_has_one_id_everywhere(features):
    answer = features.ask("/noted?x=1")
    request_id = answer.headers["X-Request-ID"]
    assert answer.json()["headers"]["x-request-id"] == request_id
    (line,) = features.logged(request_id)
    assert (line["uri"], line["status"], line["upstream_status"]) == ("/noted?x=1", 200, "200")
    for timing in ("seconds", "upstream_connect_seconds", "upstream_header_seconds", "upstream_seconds"):
        assert float(line[timing]) >= 0


@pytest.mark.parametrize("path", ["/up", "/quiet"])
def test_what_is_not_logged(features, path):
    request_id = features.ask(path).headers["X-Request-ID"]
    after = features.ask("/noted").headers["X-Request-ID"]
    assert len(features.logged(after)) == 1
    assert request_id not in features.access_log()


def test_a_balancer_is_believed(features):
    given = f"from-the-balancer.{uuid.uuid4()}"
    said = {
        "X-Forwarded-For": "192.0.2.1, 198.51.100.7, 172.16.0.9",
        "X-Forwarded-Proto": "http",
        "X-Request-ID": given,
        "Forwarded": "for=192.0.2.1",
    }
    answer = features.ask("/", headers=said)
    seen = answer.json()
    # the last one that is no balancer's; those before it, anybody can have written
    assert (seen["client"][0], seen["scheme"]) == ("198.51.100.7", "http")
    assert seen["headers"]["x-forwarded-for"] == "198.51.100.7"
    assert seen["headers"]["x-request-id"] == answer.headers["X-Request-ID"] == given
    assert "forwarded" not in seen["headers"]
    (line,) = features.logged(given)
    assert line["client"] == "198.51.100.7"


@pytest.mark.parametrize("request_id", ["short", "x" * 129, 'quote"and space', "a/b/c/d/e/f"])
def test_an_id_that_is_none_is_replaced(features, request_id):
    answer = features.ask("/", headers={"X-Forwarded-For": "198.51.100.7", "X-Request-ID": request_id})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_who_is_no_balancer_is_not_believed(hello):
    said = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "http", "X-Request-ID": "made-up-by-a-client"}
    answer = hello.ask("/whoami", headers=said)
    assert answer.json()["scheme"] == "https"
    assert answer.json()["client"].startswith("172.")
    assert answer.headers["X-Request-ID"] != "made-up-by-a-client"


def test_the_proxy_protocol_tells_who_asks_and_headers_do_not(behind):
    said = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http", "X-Request-ID": "made-up-by-a-client"}
    first = b"PROXY TCP4 198.51.100.7 198.51.100.1 4711 443\r\n"
    seen = behind.ask("/", inside=8443, headers=said, first=first).json()
    assert (seen["client"][0], seen["scheme"]) == ("198.51.100.7", "https")
    assert seen["headers"]["x-request-id"] != "made-up-by-a-client"


def test_nobody_comes_past_the_balancer(behind):
    with pytest.raises(OSError, match="."):
        behind.ask("/", inside=8443)


def test_one_site_does_not_change_a_port_behind_anothers_back(playbook):
    status, said = playbook("site", "--check", "--limit", "debian13-features", asgi_proxy_https_port=8443)
    assert status != 0
    assert "all sites of port 8443 have to agree" in said
    assert "proxy_protocol is true and not false" in said
    assert "asgi-behind.conf" in said
