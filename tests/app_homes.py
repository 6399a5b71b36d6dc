"""Build recipes and releases on disk, for tests of the code that builds and stages releases."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app import app_home
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import Recipe

RECIPE = Recipe(
    release="src-0123456789",
    app="hello",
    user="hello",
    module="main:app",
    source={"kind": "path", "label": "src", "digest": "0"},
    dependencies={"by": "nothing"},
    archive="/tmp/source.tar.gz",
    python="python3",
    installer="uv",
    requirements=["six"],
    server_requirements=["gunicorn", "uvicorn"],
    uv_version="0.13.8",
    uv_path=None,
    index_url=None,
    ca_bundle="/etc/ssl/certs/ca-certificates.crt",
    environment={},
    build_environment={},
)
OLD, NEW, INCOMPLETE = "old-0000000001", "new-0000000002", "incomplete-0000000003"


def add(home, release, built_at="2026-01-01T00:00:00Z"):
    """Create a release, complete unless *built_at* is None."""
    set_python(home, release, "3.11")
    if built_at:
        manifest = {"id": release, "built_at": built_at, "python": "3.11.2"}
        (home.releases / release / "release.json").write_text(json.dumps(manifest))


def set_python(home, release, version):
    """Change the Python of *release* to *version*, as an upgrade of the distribution does."""
    host = home.releases.parent / "usr-bin" / f"python{version}"
    host.parent.mkdir(exist_ok=True)
    host.write_text(f"#!/bin/sh\nprintf {version}\n")
    host.chmod(0o755)
    python = home.releases / release / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.unlink(missing_ok=True)
    python.symlink_to(host)


def damage(home, release):
    (home.releases / release / "release.json").unlink()


def use_in_slot(home, release):
    link = home.app["slots"]["blue"]["release"]
    Path(link).parent.mkdir(parents=True)
    Path(link).symlink_to(f"../../releases/{release}")


def use_as_current(home, release):
    Path(home.app["current"]).symlink_to(f"releases/{release}")


def use_in_process(home, release):
    process = app_home.PROCESSES / "4711"
    process.mkdir(parents=True)
    (process / "cwd").symlink_to(home.releases / release / "code")
