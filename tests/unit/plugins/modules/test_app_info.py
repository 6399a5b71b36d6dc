"""The module app_info reports a damaged log instead of an app without releases."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.modules import app_info


@pytest.mark.parametrize(
    ("fault", "warnings"),
    [(None, []), ("it is no JSON", ["shop: the list of its releases is missing: it is no JSON"])],
)
def test_releases_of_a_damaged_log(monkeypatch, fault, warnings):
    monkeypatch.setattr(app_info, "describe", lambda *_arguments: {"log_fault": fault})
    monkeypatch.setattr(app_info, "releases", lambda _app: [])
    printed = []
    module = SimpleNamespace(params={"sbom": False, "releases": True}, run_command=None, warn=printed.append)
    assert app_info._describe(module, layout("shop"))["releases"] == []
    assert printed == warnings
