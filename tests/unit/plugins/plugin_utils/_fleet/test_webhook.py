# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifications over HTTP: attempts, and messages without secrets."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet import webhook

TOKEN = {"Authorization": "Bearer s3cret"}


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Do not wait between the attempts; return the pauses."""
    found = []
    monkeypatch.setattr(webhook.time, "sleep", found.append)
    return found


def test_the_content_is_sent_as_json_with_the_headers(receiver):
    assert webhook.post(receiver.url, TOKEN, {"app": "caf\u00e9"}) == ""

    [request] = receiver.requests
    assert (request.method, request.path, request.json) == ("POST", "/hooks/s3cret", {"app": "caf\u00e9"})
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Content-Type"] == "application/json"


def test_credentials_of_the_operator_for_other_programs_are_not_sent(receiver, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("default login jo password own\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    assert webhook.post(receiver.url, TOKEN, {}) == ""

    [request] = receiver.requests
    assert request.headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("statuses", "attempts", "fault"),
    [
        ([500, 429, 204], 3, ""),
        ([500, 502, 503], 3, "it answered HTTP 503"),
        ([404, 200], 1, "it answered HTTP 404"),
        # a redirect would send the headers to another server
        ([302, 200], 1, "it answered HTTP 302"),
    ],
)
def test_only_temporary_failures_are_repeated(receiver, pauses, statuses, attempts, fault):
    receiver.statuses[:] = statuses

    assert webhook.post(receiver.url, {}, {}) == fault
    assert len(receiver.requests) == attempts
    assert pauses == [0, 1, 4][:attempts]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/hooks/s3cret",
        "nothing://user:s3cret@x/s3cret?s3cret",
        "http://s3cret:x/",
        "http://[::1/s3cret",
    ],
)
def test_a_webhook_that_cannot_be_reached(url):
    fault = webhook.post(url, TOKEN, {})

    assert fault
    assert "s3cret" not in fault


def test_a_server_that_does_not_speak_http(receiver):
    receiver.statuses[:] = [None, None, None]

    assert webhook.post(receiver.url, TOKEN, {}) == "its response is not HTTP"
    assert len(receiver.requests) == 3
