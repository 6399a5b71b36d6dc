"""Queries of requests in the access log, and the status page of nginx."""

from __future__ import annotations

import json
import uuid

import pytest
import scenario

PARAMETERS = {"page": "", "sort_by": ""}

# request target -> path and parameters in the log; the log must not contain other values
TABLE = {
    "/": ("/", {}),
    "/noted?page=2": ("/noted", {"page": "2"}),
    "/noted?token=HUSH&page=2&sort_by=name": ("/noted", {"page": "2", "sort_by": "name"}),
    "/noted?PAGE=2": ("/noted", {"page": "2"}),
    "/noted?page=2&page=3": ("/noted", {"page": "2"}),
    "/noted?page": ("/noted", {}),
    "/noted?page=": ("/noted", {}),
    "/noted?homepage=HUSH&xpage=HUSH": ("/noted", {}),
    "/noted?page[]=HUSH&page.x=HUSH&page-x=HUSH": ("/noted", {}),
    "/noted?%70age=HUSH": ("/noted", {}),
    "/noted?next=/x?page=HUSH": ("/noted", {}),
    "/noted?page=a%22%5Cb%0A%26c": ("/noted", {"page": "a%22%5Cb%0A%26c"}),
    '/noted?page="}': ("/noted", {"page": '"}'}),
    "/noted?page=\\": ("/noted", {"page": "\\"}),
    "/noted?sort_by=%E4%BD%A0": ("/noted", {"sort_by": "%E4%BD%A0"}),
    "/no%74ed/%3Fx": ("/no%74ed/%3Fx", {}),
    "/a//b?token=HUSH": ("/a//b", {}),
    "/matrix;token=HUSH/x?a=HUSH": ("/matrix", {}),
    "/a..b": ("/a..b", {}),
    # rejected
    "/a/../b?token=HUSH": ("/a/../b", {}),
    "/#access_token=HUSH": ("/", {}),
}


def test_log_contains_only_the_listed_parameters(features):
    ids = {target: f"query-{uuid.uuid4()}" for target in TABLE}
    for target, request_id in ids.items():
        # As a balancer, whose request ids are accepted.
        lines = [
            "Host: features.test",
            f"X-Request-ID: {request_id}",
            "X-Forwarded-For: 198.51.100.7",
            "Connection: close",
        ]
        with features.open() as connection:
            connection.sendall("\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode())
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 ")
    features.logged(list(ids.values())[-1])
    log = features.access_log()
    logged = {line["request_id"]: line for line in map(json.loads, log.splitlines())}
    expected = {target: (path, {**PARAMETERS, **values}) for target, (path, values) in TABLE.items()}
    assert {target: (logged[ids[target]]["uri"], logged[ids[target]]["query"]) for target in TABLE} == expected
    assert "HUSH" not in log


def test_log_contains_the_whole_query_or_none_if_configured(hello, behind):
    (line,) = hello.logged(hello.ask("/health?page=2&token=shown").headers["X-Request-ID"])
    assert line["uri"] == "/health?page=2&token=shown"
    assert "query" not in line
    first = b"PROXY TCP4 198.51.100.7 198.51.100.1 4711 443\r\n"
    answer = behind.ask("/x?page=2&token=HUSH", inside=8443, first=first)
    (line,) = behind.logged(answer.headers["X-Request-ID"])
    assert line["uri"] == "/x"
    assert "query" not in line


def test_error_log_contains_no_query(features):
    client = {"X-Forwarded-For": f"203.0.113.{uuid.uuid4().int % 90 + 100}"}
    statuses = [features.ask("/limited?token=HUSHED", headers=client).status for _turn in range(5)]
    assert statuses.count(429) >= 2
    assert "HUSHED" not in features.host.file("/var/log/nginx/features.error.log").content_string


def test_status_page_is_available_on_the_machine_only(features):
    assert "Active connections:" in scenario.fetch(features.host, "http://127.0.0.1:8090/stub_status")
    address = features.host.check_output("hostname --ip-address").split()[0]
    with pytest.raises(AssertionError, match="Connection refused"):
        scenario.fetch(features.host, f"http://{address}:8090/stub_status")
