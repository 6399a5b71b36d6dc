"""nginx applies the rules of the location that matches the path the app receives, or rejects the request."""

from __future__ import annotations

import http.client
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

TABLE = json.loads((Path(__file__).parents[1] / "request_paths.json").read_text())
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}
UNTRUSTED = "203.0.113.9"


@pytest.fixture
def ask(features):
    """Return a function that sends each request target unchanged on its own connection, and returns status, id and body."""

    def one(target, **headers):
        request_id = f"path-{uuid.uuid4()}"
        lines = {
            "Host": "features.test",
            "X-Forwarded-For": UNTRUSTED,
            "X-Request-ID": request_id,
            "Connection": "close",
        }
        lines.update(headers)
        head = "\r\n".join([f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""])
        with features.open() as connection:
            connection.sendall(head.encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, request_id, answer.read()

    def several(targets, **headers):
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(targets, pool.map(lambda target: one(target, **headers), targets), strict=True))

    return several


def test_unambiguous_path_reaches_the_app_unchanged(ask):
    answers = {target: (status, body) for target, (status, _id, body) in ask(list(TABLE["passed"])).items()}
    assert {target: status for target, (status, _body) in answers.items() if status != 200} == {}
    assert {target: json.loads(body)["path"] for target, (_status, body) in answers.items()} == TABLE["passed"]


def test_every_spelling_of_a_protected_path_is_protected(ask):
    assert {target: status for target, (status, *_rest) in ask(list(TABLE["closed"])).items()} == TABLE["closed"]


@pytest.mark.parametrize("headers", [{}, UPGRADE], ids=["a request", "a WebSocket"])
def test_ambiguous_path_is_rejected_and_logged(features, ask, headers):
    answers = ask(TABLE["refused"], **headers)
    assert {target: status for target, (status, *_rest) in answers.items() if status != 400} == {}
    # The workers of nginx buffer the log and flush it independently of each other.
    lines = {target: len(features.logged(request_id)) for target, (_status, request_id, _body) in answers.items()}
    assert {target: count for target, count in lines.items() if count != 1} == {}


def test_invalid_request_is_rejected(ask):
    statuses = {target: status for target, (status, *_rest) in ask(TABLE["no request"]).items()}
    assert statuses == dict.fromkeys(TABLE["no request"], 400)


def test_path_rules_apply_to_http_2_and_3(features):
    if features.machine.endswith("12"):
        pytest.skip("curl of Debian 12 has no HTTP/3")
    ask = "curl --silent --insecure --path-as-is --resolve features.test:443:127.0.0.1 --output /dev/null"
    for version in ("http2", "http3-only"):
        for target, status in {
            "/admin/../x": 400,
            "/x/..%2fadmin": 400,
            "//admin": 400,
            "/a..b": 200,
            "/admin": 401,
        }.items():
            code = features.host.check_output(
                f"{ask} --{version} --write-out '%{{http_code}}' 'https://features.test{target}'"
            )
            assert (version, target, code) == (version, target, str(status))
