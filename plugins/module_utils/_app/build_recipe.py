# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of a release build."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import PythonRequest
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import CACHE_DIRECTORY

CACHE = Path(CACHE_DIRECTORY)


class BuildError(Reported):
    """The release cannot be built; the message names the variable to change."""

    code = "build-failed"


class Unsolvable(BuildError):
    """Requirements conflict with each other."""

    code = "requirements-conflict"


class Recipe(NamedTuple):
    release: str
    app: str
    user: str
    module: str
    source: dict
    dependencies: dict
    # The source archive, as a path or as its content; None for a package.
    archive: str | bytes | None
    python: str
    installer: str
    requirements: list
    server_requirements: list
    uv_version: str | None
    uv_path: str | None
    index_url: str | None
    ca_bundle: str
    environment: dict
    build_environment: dict
    # Install only the wheels that the controller chose, without an index. ``wheels_archive`` contains those that the host lacks.
    wheelhouse: bool = False
    wheels: dict | None = None
    wheels_archive: str | None = None
    # Variables that configure the app's sandbox.
    sandbox: dict | None = None
    # Whether the import check calls the factory in ``module``.
    call_factory: bool = True
    # The versions of Python that the app accepts, if python names no program; see python_versions.py.
    python_request: PythonRequest | None = None
    python_mirror: str | None = None
    # The CPython from the controller: the path of the archive and its SHA-256.
    python_archive: dict | None = None
    # SHA-256 hashes of the wheels of uv_version. uv_wheels.py contains the hashes of the default version.
    uv_hashes: tuple | list = ()
    # The host command: the SHA-256 of its program, and the program's path if the controller has sent it. None if there is no command.
    command: dict | None = None
    # Digests of the files of the source by path, in check mode with --diff.
    files: dict | None = None
