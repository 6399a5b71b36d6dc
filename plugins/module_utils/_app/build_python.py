# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the Python of a release: the distribution's, a program of the operator, or a CPython that uv installs for all apps of the host.

uv runs as the build account, in the sandbox of the build, and verifies the hash of the archive. Only then does root take ownership of the
files and move them to PYTHONS, so that root runs no Python that another account can modify.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_environment import SEARCH_PATH
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_ownership import take_over
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError, Recipe
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import key_of, minor_of
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import remove_tree
from ansible_collections.asgi.deploy.plugins.module_utils._host.interpreter import changeable_part, leads_to_interpreter
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import APPS, PYTHONS

SYSTEM_PYTHON = "/usr/bin/python3"
# The command that a host without another requirement uses; usually SYSTEM_PYTHON.
DEFAULT_PYTHON = "python3"
STORE = Path(PYTHONS)
HOMES = Path(APPS)

_VERSION = "import platform; print(platform.python_version(), end='')"


class Python(NamedTuple):
    """The Python of a release. ``managed`` is its version if uv installs it, else empty; ``path`` need not exist yet."""

    path: str
    managed: str = ""

    @property
    def key(self) -> str:
        """uv's name of a managed Python, which is also that of its directory."""
        return _key(self.managed) if self.managed else ""

    @property
    def is_missing(self) -> bool:
        return bool(self.managed) and not os.path.exists(self.path)


def choose(recipe: Recipe) -> Python:
    """Return the Python that the release of *recipe* gets; raise BuildError if the host cannot have it."""
    request = recipe.python_request
    if request is None:
        return Python(find_python(recipe.python))
    default = find_python(DEFAULT_PYTHON)
    version = _version(default)
    if request.accepts_version(version):
        return Python(default)
    needs = f"asgi_app_python is {recipe.python!r}, the app accepts {request.origin}, and {default} is Python {version}"
    if recipe.installer != "uv":
        raise BuildError(
            f"{needs}: set asgi_app_installer to uv, which installs another Python, or asgi_app_python to one on the host",
            "python-does-not-match",
        )
    if not request.managed:
        raise BuildError(
            f"{needs}: set asgi_app_python to a version such as '3.13', or to a Python on the host",
            "python-does-not-match",
        )
    path = str(STORE / _key(request.managed) / "bin" / f"python{minor_of(request.managed)}")
    return Python(find_python(path) if os.path.exists(path) else path, request.managed)


def find_python(wanted: str) -> str:
    """Return the path of the host's Python *wanted*, a command or a path."""
    found = shutil.which(wanted, path=SEARCH_PATH)
    if not found:
        raise BuildError(
            f"asgi_app_python is {wanted!r}, which does not exist on the host: install it there first (asgi_app_packages "
            "installs Debian packages), or set a version such as '3.13', which uv installs",
            "python-not-usable",
        )
    part = changeable_part(found)
    if part:
        raise BuildError(
            f"asgi_app_python is {wanted!r}, which root runs, but other accounts can modify {part}: use a Python that only root can "
            "modify",
            "python-not-usable",
        )
    return found


def _version(python: str) -> str:
    argv = [python, "-I", "-S", "-c", _VERSION]
    try:
        return subprocess.run(argv, cwd="/", capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise BuildError(f"{python} does not run: {exc}", "python-not-usable") from exc


def _key(version: str) -> str:
    try:
        return key_of(version, os.uname().machine)
    except ValueError as exc:
        raise BuildError(f"{exc}: set asgi_app_python to a Python on the host", "python-not-installed") from exc


def download_entry(version: str, archive: str, sha256: str) -> dict:
    """Return uv's description of the downloads, with only the CPython *version* in the file *archive*."""
    key = _key(version)
    _name, _version, system, architecture, libc = key.split("-")
    major, minor, patch = map(int, version.split("."))
    return {
        key: {
            "name": "cpython",
            "arch": {"family": architecture, "variant": None},
            "os": system,
            "libc": libc,
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": Path(archive).as_uri(),
            "sha256": sha256,
            "variant": None,
            "build": None,
        }
    }


def adopt(scratch: Path, python: Python) -> None:
    """Move the *python* that uv has installed in *scratch*, a directory of the build account, to the store, as root's."""
    os.lchown(scratch, os.geteuid(), os.getegid())
    made = scratch / python.key
    if made.is_symlink() or not made.is_dir():
        raise BuildError(f"uv did not install {python.key}", "python-not-installed")
    take_over(str(made), lambda _path: False)
    target = STORE / python.key
    temporary = target.with_name(f".{python.key}.{os.getpid()}")
    try:
        # The release may be on another file system, so that this may be a copy.
        shutil.move(str(made), str(temporary))
        temporary.rename(target)
    except OSError:
        # The build of another app may have installed the same Python meanwhile.
        if not target.exists():
            raise
    finally:
        if temporary.exists():
            remove_tree(str(temporary))
    if not leads_to_interpreter(python.path):
        raise BuildError(f"{python.path} is not a Python that only root can modify", "python-not-installed")


@contextlib.contextmanager
def in_use() -> Iterator[None]:
    """Keep prune() from removing a Python before the release that uses it is complete."""
    with _lock(fcntl.LOCK_SH):
        yield


def prune() -> list:
    """Remove the Pythons that no release of any app uses, unless a build is running; return their names."""
    removed = []
    if not STORE.is_dir():
        return removed
    with contextlib.suppress(BlockingIOError), _lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
        used = {_used_by(python) for python in HOMES.glob("*/releases/*/.venv/bin/python")}
        for path in sorted(STORE.iterdir()):
            if path.is_dir() and path.name not in used:
                remove_tree(str(path))
                removed.append(path.name)
    return removed


def _used_by(python: Path) -> str:
    """Return the name of the Python in the store to which *python*, a symlink in a release, leads; "" if it leads elsewhere."""
    try:
        return python.resolve().relative_to(STORE.resolve()).parts[0]
    except (ValueError, OSError, RuntimeError, IndexError):
        return ""


@contextlib.contextmanager
def _lock(kind: int) -> Iterator[None]:
    STORE.mkdir(mode=0o755, parents=True, exist_ok=True)
    for directory in (STORE.parent, STORE):
        # Accounts of apps run the Pythons, whatever the umask of this process is.
        directory.chmod(0o755)
    with os.fdopen(os.open(STORE / ".lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, kind)
        yield
