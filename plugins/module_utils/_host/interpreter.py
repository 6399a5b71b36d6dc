# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python interpreters of the host. Root runs only interpreters that no other account can modify, and never the one in a release.

The interpreter in a release's virtual environment reads pyvenv.cfg and .pth files of the release. They can execute code even with -I and -S.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import APPS

# Root owns releases, but builds, which run as another account, have written their contents.
RELEASES = re.compile(rf"{APPS}/[^/]+/releases/")
_NAME = re.compile(r"(?:python|pypy)[0-9.]*[a-z]*")
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2], end='')"
_SECONDS = 30


def changeable_part(path: str) -> str:
    """Resolve symlinks in *path*, and return the first component that accounts other than root can modify; "" if there is none."""
    path = os.path.realpath(path)
    if RELEASES.match(path):
        return path
    parts = [path]
    while parts[-1] != "/":
        parts.append(os.path.dirname(parts[-1]))
    for part in reversed(parts):
        found = os.lstat(part)
        # In a sticky directory, only the owner of an entry can replace it.
        loose = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, os.geteuid()) or loose or (part == path and found.st_mode & 0o022):
            return part
    return ""


def leads_to_interpreter(path: str) -> bool:
    """Return whether *path* resolves to a Python interpreter of the host that only root can modify."""
    real = os.path.realpath(path)
    try:
        return bool(_NAME.fullmatch(os.path.basename(real)) and os.path.isfile(real) and not changeable_part(real))
    except OSError:
        return False


def version_of(path: str) -> str:
    """Return the version, such as 3.13, of the host's Python to which the symlink *path* in a virtual environment leads, or ""."""
    if not os.path.islink(path) or not leads_to_interpreter(path):
        return ""
    argv = [os.path.realpath(path), "-I", "-S", "-c", _VERSION]
    try:
        return subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=_SECONDS, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
