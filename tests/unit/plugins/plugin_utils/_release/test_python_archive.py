"""The archive of a CPython on the controller."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.python_archive import provide_python
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import WheelError

MIRROR = "https://user:secret@mirror.example"
SETTINGS = Settings("python3", [], [], "0.13.8", None, "/no/such/bundle.pem", {}, python_mirror=MIRROR)
KEY = "cpython-3.12.9-linux-aarch64-gnu"


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Replace uv by a fake that leaves an archive in its cache, as a download does; return its calls."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recorded = []

    def uv(_tools, arguments, _directory, _blame, _remedy="", **variables):
        recorded.append((arguments, variables))
        (Path(variables["UV_PYTHON_CACHE_DIR"]) / "0123-python.tar.gz").write_text("archive")
        (Path(variables["UV_PYTHON_CACHE_DIR"]) / ".tmpX3aB").mkdir()  # of an interrupted download

    monkeypatch.setattr(WheelTools, "uv", uv)
    return recorded


def test_uv_downloads_the_build_for_the_host_once_per_run(tmp_path, calls):
    found = provide_python(SETTINGS, "3.12.9", "aarch64", tmp_path)
    assert provide_python(SETTINGS, "3.12.9", "aarch64", tmp_path) == found

    [(arguments, variables)] = calls
    assert arguments[-1] == KEY
    assert MIRROR not in arguments, "the list of processes would show the password"
    assert variables["UV_PYTHON_INSTALL_MIRROR"] == MIRROR
    assert found == {
        "archive": str(tmp_path / "cache/asgi/pythons" / KEY / "0123-python.tar.gz"),
        "sha256": hashlib.sha256(b"archive").hexdigest(),
    }


def test_a_failed_download_is_reported_with_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def uv(_tools, _arguments, _directory, blame, **_variables):
        raise WheelError("requirements-unresolvable", *blame.split(" ", 1), "check the index")

    monkeypatch.setattr(WheelTools, "uv", uv)
    with pytest.raises(SourceError, match=r"asgi_app_python needs CPython 3.12.9, .*_python_mirror") as caught:
        provide_python(SETTINGS, "3.12.9", "aarch64", tmp_path)
    assert caught.value.code == "python-download-failed"


def test_uvs_own_server_is_the_default(tmp_path, calls):
    provide_python(SETTINGS._replace(python_mirror=None), "3.12.9", "aarch64", tmp_path)
    assert "UV_PYTHON_INSTALL_MIRROR" not in calls[0][1]


def test_a_machine_without_builds_is_reported(tmp_path, calls):
    with pytest.raises(SourceError, match="asgi_app_wheelhouse is true, and uv has no CPython for mips"):
        provide_python(SETTINGS, "3.12.9", "mips", tmp_path)
