# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to the file system that are either made or not made, never half."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile


def read_link(path: str) -> str | None:
    """Return the target of the symlink *path*, None if there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def replace_link(path: str, target: str) -> bool:
    """Make *path* a symlink to *target* by one rename; return whether that changed anything."""
    if read_link(path) == target:
        return False
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.new"
    os.symlink(target, temporary)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    return True


def read_text(path: str) -> str | None:
    """Return the text of *path*, None if there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write_text(path: str, text: str, mode: int = 0o644, gid: int = -1) -> bool:
    """Write *text* to *path* by one rename, safe against a crash; return whether that changed the content."""
    if read_text(path) == text:
        return False
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchown(file.fileno(), -1, gid)
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


@contextlib.contextmanager
def alone(path: str):
    """Wait until no other process is in here with the same *path*; two apps of one host are deployed at once."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
