# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to the file system that are either made or not made, never half."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time

# of errors that shutil has gathered; there may be one for each file of a tree
TOLD = 3


def reason_of(error: OSError) -> str:
    """Return for people what *error* says, be it shutil's, which has neither a file nor a reason but a list of them."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        each = [why if str(source) in str(why) else f"{source}: {why}" for source, _target, why in error.args[0]]
        rest = f"; and {len(each) - TOLD} more" if len(each) > TOLD else ""
        return "; ".join(map(str, each[:TOLD])) + rest
    if error.filename is None:
        return error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {error.strerror}"


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


def read_text(path: str, errors: str = "strict") -> str | None:
    """Return the text of *path*, None if there is no such file.

    *errors* says what becomes of bytes that are no UTF-8, as in the files of others. With ``replace`` it is a text to look at,
    with ``surrogateescape`` one that can be written back as it was.
    """
    try:
        with open(path, encoding="utf-8", errors=errors) as file:
            return file.read()
    except FileNotFoundError:
        return None


def write_text(path: str, text: str, mode: int = 0o644, gid: int = -1) -> bool:
    """Write *text* to *path* by one rename, safe against a crash; return whether that changed the content."""
    if read_text(path, errors="surrogateescape") == text:
        return False
    replace_file(path, text, mode, gid)
    return True


def replace_file(path: str, text: str, mode: int = 0o644, gid: int = -1) -> None:
    """Have a new file *path* with *text*, by one rename, safe against a crash."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchown(file.fileno(), -1, gid)
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def is_ours(path: str, mode: int) -> bool:
    """Return whether *path* is a file of this process's user and group, with *mode*."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    owned = (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
    return stat.S_ISREG(found.st_mode) and owned and stat.S_IMODE(found.st_mode) == mode


def remove(path: str) -> bool:
    """Remove whatever *path* is, with all below it; return whether there was anything.

    What a symlink leads to stays. A mount point is emptied and stays.
    """
    if not os.path.lexists(path):
        return False
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
    elif not os.path.ismount(path):
        shutil.rmtree(path)
    else:
        for name in os.listdir(path):
            remove(os.path.join(path, name))
    return True


class Locked(Exception):
    """Another process holds a lock; the message is what it has written there."""


@contextlib.contextmanager
def locked(path: str, note: str, wait: float):
    """Hold the lock *path* and leave *note* in it; raise Locked if another process holds it for *wait* seconds more.

    The kernel lets go when this process ends, however it ends: a lock never goes stale. Only root may open the file, or
    anybody could hold it.
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                raise Locked(file.read().strip())
            time.sleep(0.2)
        file.truncate(0)
        file.write(f"{note}, process {os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(path: str) -> str | None:
    """Return what the process that holds the lock *path* has written there, None if nobody holds it."""
    try:
        with open(path, encoding="utf-8") as file:
            return None if _try_lock(file, fcntl.LOCK_SH) else file.read().strip()
    except FileNotFoundError:
        return None


def _try_lock(file, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
