# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provide the archive of a CPython on the controller, for hosts that download nothing.

uv downloads the archive to the controller's cache, or finds it there, and verifies its hash.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import key_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.run_cache import once
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import WheelCache
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import VARIABLE, WITHOUT, WheelError

REMEDY = (
    "check that the controller can reach the server (asgi_app_python_mirror, asgi_app_build_env, asgi_app_ca_bundle), or set "
    "asgi_app_python to a Python on the hosts"
)


def provide_python(settings: Settings, version: str, machine: str, directory: str | os.PathLike[str]) -> dict[str, str]:
    """Return the path of the ``archive`` of CPython *version* for a host's *machine*, and its ``sha256``. Raises SourceError."""
    try:
        key = key_of(version, machine)
    except ValueError as exc:
        raise WheelError("wheelhouse-platform-unsupported", VARIABLE, f"is true, and {exc}", WITHOUT) from exc
    return once(
        directory, "python", [key, settings.python_mirror], lambda place: _provide(settings, version, key, place)
    )


def _provide(settings: Settings, version: str, key: str, place: Path) -> dict[str, str]:
    cache = WheelCache()
    # A directory for each Python, so that its only file is the archive.
    stored = cache.directory / "pythons" / key
    cache.make_directory(stored)
    os.utime(stored)
    # uv also unpacks the archive, although only the archive is needed. Ignore the operator's own configuration of that.
    variables = {
        "UV_COMPILE_BYTECODE": "0",
        "UV_PYTHON_CACHE_DIR": str(stored),
        "UV_PYTHON_DOWNLOADS": "manual",
    }
    if settings.python_mirror:
        variables["UV_PYTHON_INSTALL_MIRROR"] = settings.python_mirror
    with tempfile.TemporaryDirectory(dir=place) as unpacked:
        try:
            WheelTools(settings, cache).uv(
                ["python", "install", "--no-bin", "--install-dir", unpacked, key],
                place,
                f"asgi_app_python needs CPython {version}, which uv cannot download on the controller",
                **variables,
            )
        except WheelError as exc:
            raise WheelError("python-download-failed", exc.variable, exc.fault, REMEDY) from exc
    # An archive of another build of the same version, from an earlier version of uv, may exist too, and temporary directories of other
    # downloads or of interrupted ones.
    archives = [path for path in stored.iterdir() if path.is_file() and not path.name.startswith(".")]
    archive = max(archives, key=lambda path: path.stat().st_mtime)
    with archive.open("rb") as file:
        return {"archive": str(archive), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
