"""What of a request's query gets into the access log, line by line; and what nginx tells of itself."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

# what is asked for -> what the log has of it
TABLE = json.loads((Path(__file__).parents[1] / "log_redaction.json").read_text())


@pytest.fixture
def logged(features):
    """Ask for targets in one connection, each as it is; return what the log has of each, in order."""

    def logged(targets):
        ids = [f"redaction-{uuid.uuid4()}" for _target in targets]
        last = ["Connection: close"]
        with features.open() as connection, connection.makefile("rb") as answers:
            for target, id in zip(targets, ids, strict=True):
                lines = [f"GET {target} HTTP/1.1", "Host: features.test", f"X-Request-ID: {id}"]
                # as a balancer does, whose ids are taken
                lines.append("X-Forwarded-For: 198.51.100.7")
                lines += last if id == ids[-1] else []
                connection.sendall("\r\n".join([*lines, "", ""]).encode())
            assert answers.read().count(b"HTTP/1.1 ") >= len(targets)
        features.logged(ids[-1])
        found = {line["request_id"]: line["uri"] for line in map(json.loads, features.access_log().splitlines())}
        return [found[id] for id in ids]

    return logged


def test_secrets_are_not_in_the_log(features, logged):
    wanted = {f"/noted{target[1:]}" if target[1:2] == "?" else target: TABLE[target] for target in TABLE}
    found = logged(list(wanted))

    assert [uri.replace("/noted?", "/?") for uri in found] == list(wanted.values())
    assert "HUSH" not in features.access_log()


def test_no_query_is_in_the_log_where_none_is_wanted(hello):
    (line,) = hello.logged(hello.ask("/health?page=2").headers["X-Request-ID"])
    assert line["uri"] == "/health"


def test_nginx_tells_its_connections_to_the_machine_only(features):
    assert "Active connections:" in features.told("http://127.0.0.1:8090/stub_status")
    address = features.host.check_output("hostname --ip-address").split()[0]
    with pytest.raises(AssertionError, match="Connection refused"):
        features.told(f"http://{address}:8090/stub_status")
