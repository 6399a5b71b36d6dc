"""Fixtures for tests of the code that builds and stages releases."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import app_home
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return the home of the app hello, below *tmp_path*."""

    def below_tmp_path(name):
        return json.loads(json.dumps(layout(name)).replace(f"/srv/{name}", str(tmp_path)))

    monkeypatch.setattr(app_home, "layout", below_tmp_path)
    monkeypatch.setattr(app_home, "PROCESSES", tmp_path / "proc")
    return app_home.AppHome("hello")
