"""Offer the hosts of a scenario a CPython that they lack: a build of pyenv, if this computer has one, or else the default of uv's server.

The C library of this computer must not be newer than that of the hosts.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import download_entry
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import managed_version

# Not needed by an app, and most of the size.
LEFT_OUT = ("test", "tests", "__pycache__", "idlelib", "tkinter")


class Offer(NamedTuple):
    """A ``version`` of CPython, and the ``environment`` for asgi_app_build_env with which uv finds it, empty for uv's server."""

    version: str
    environment: dict[str, str]


def offer(minor: str, directory: Path, where: str) -> Offer:
    """Return an offer of a CPython *minor*.

    The hosts, or with the wheelhouse the controller, must have the files in *directory* in the directory *where*. The build has the name of
    the version that the collection chooses, whatever its own patch version is.
    """
    version = managed_version([f"=={minor}.*"])
    builds = _builds(minor)
    if not builds:
        return Offer(version, {})
    build = max(builds)
    archive = directory / f"cpython-{version}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1, dereference=False) as tar:
        program = f"python/bin/python{minor}"
        tar.add(build, "python", filter=lambda member: None if member.name == program else _wanted(member))
        content = _relocated((build / "bin" / f"python{minor}").read_bytes(), build)
        member = tarfile.TarInfo(program)
        member.mode, member.size = 0o755, len(content)
        tar.addfile(member, io.BytesIO(content))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    entry = download_entry(version, f"{where}/{archive.name}", sha256)
    (directory / "python.json").write_text(json.dumps(entry))
    return Offer(version, {"UV_PYTHON_DOWNLOADS_JSON_URL": f"file://{where}/python.json"})


def _builds(minor: str) -> list[Path]:
    """Return pyenv's builds of *minor*."""
    if platform.system() != "Linux":
        return []
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [path for path in root.glob(f"versions/{minor}.*") if not path.is_symlink()]


def _relocated(program: bytes, build: Path) -> bytes:
    """Return the *program* with a relative path of its shared library in place of the one in pyenv's directory."""
    absolute, relative = f"{build}/lib\0".encode(), b"$ORIGIN/../lib"
    return program.replace(absolute, relative.ljust(len(absolute), b"\0"))


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(member.name).name
    if name in LEFT_OUT or name.endswith(".a") or name.startswith("config-"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
