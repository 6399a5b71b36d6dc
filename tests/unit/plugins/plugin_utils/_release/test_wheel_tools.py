"""Errors of uv and pip on the controller."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import WheelCache
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools

INDEX = "https://user:secret@index.example/simple"
SETTINGS = Settings("python3", [], [], "0.13.8", INDEX, "/no/such/bundle.pem", {"TOKEN": "s3cret-token"})


def test_errors_of_tools_contain_their_output_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tools = WheelTools(SETTINGS, WheelCache())
    argv = ["/bin/sh", "-c", 'echo "at $UV_DEFAULT_INDEX with $TOKEN" >&2; exit 1']
    with pytest.raises(SourceError, match="asgi_app_x cannot be") as caught:
        tools.run(argv, tmp_path, "asgi_app_x cannot be had")
    assert "index.example" in str(caught.value)
    assert "secret" not in str(caught.value).replace("********", "")
    with pytest.raises(SourceError, match="asgi_app_x cannot be"):
        tools.run([str(tmp_path / "nothing")], tmp_path, "asgi_app_x cannot be had")
