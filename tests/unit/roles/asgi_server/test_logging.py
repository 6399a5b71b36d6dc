"""What the servers say themselves, without the secrets of a query; real servers do so in tests/worker."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[4] / "roles/asgi_server/files/srv/app/configs"


@pytest.fixture
def formatter(monkeypatch):
    monkeypatch.syspath_prepend(str(CONFIGS))
    spec = importlib.util.spec_from_file_location("asgi_deploy_logging", CONFIGS / "asgi_deploy_logging.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ServerFormatter()


@pytest.mark.parametrize(
    ("said", "arguments", "expected"),
    [
        ("Error handling request %s %s", ("POST", "/pay?token=HUSH"), "Error handling request POST /pay"),
        ("Error handling request %s", ("/pay?token=HUSH",), "Error handling request /pay"),
        ("Error handling request (no URI read)", (), "Error handling request (no URI read)"),
        ('%s - "WebSocket %s" [accepted]', ("::1", "/ws?token=HUSH"), '::1 - "WebSocket /ws" [accepted]'),
        ("Is it %s?", ("so? yes",), "Is it so? yes?"),
    ],
)
def test_the_query_stays_out_of_what_a_server_says(formatter, said, arguments, expected):
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "x.py", 1, said, arguments, None)

    assert json.loads(formatter.format(record))["message"] == expected
