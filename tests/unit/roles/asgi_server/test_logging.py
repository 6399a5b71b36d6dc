"""Log records of the servers contain no query strings; tests/worker tests real servers."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

CONFIGS = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app/configs"


@pytest.fixture
def formatter(monkeypatch):
    monkeypatch.syspath_prepend(str(CONFIGS))
    spec = importlib.util.spec_from_file_location("asgi_deploy_logging", CONFIGS / "asgi_deploy_logging.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ServerFormatter()


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("Error handling request %s %s", ("POST", "/pay?token=HUSH"), "Error handling request POST /pay"),
        ("Error handling request %s", ("/pay?token=HUSH",), "Error handling request /pay"),
        ("Error handling request (no URI read)", (), "Error handling request (no URI read)"),
        ('%s - "WebSocket %s" [accepted]', ("::1", "/ws?token=HUSH"), '::1 - "WebSocket /ws" [accepted]'),
        ("Is it %s?", ("so? yes",), "Is it so? yes?"),
    ],
)
def test_server_messages_contain_no_query(formatter, message, arguments, expected):
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "x.py", 1, message, arguments, None)

    assert json.loads(formatter.format(record))["message"] == expected


@given(st.text(alphabet=st.characters()))
@example('x\n{"level": "info", "message": "paid"}\r\x1b[2J\x9b31m\u202e\u2028')
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_is_one_printable_line_with_the_text_that_was_logged(formatter, text):
    """A client's text in a message cannot forge a line, or send control characters to the terminal of ``journalctl --output=cat``."""
    record = logging.LogRecord("app", logging.ERROR, "x.py", 1, "%s", (text,), None)
    record.client = text

    line = formatter.format(record)

    assert line.splitlines() == [line]
    assert printable(line) == line
    entry = json.loads(line)
    assert (entry["message"], entry["client"]) == (text, text)
