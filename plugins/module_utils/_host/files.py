# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic changes of files and symlinks, file locks, and readable messages for file system errors."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Callable, TextIO

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported

# umask of all code that changes a host: nginx and the apps must be able to read its files
UMASK = 0o022

# maximum number of errors in a message; shutil collects one error for each file of a tree
MOST_ERRORS = 3

# free bytes required before a change that cannot be interrupted
ROOM = 64 << 10

FULL = (errno.ENOSPC, errno.EDQUOT)


def reason_of(error: OSError) -> str:
    """Return a readable message for *error*, even for a shutil.Error, which holds a list of errors instead of a file name and a reason.

    If a file system is full, the message includes its mount point and free space.
    """
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        each = [why if str(source) in str(why) else f"{source}: {why}" for source, _target, why in error.args[0]]
        rest = f"; and {len(each) - MOST_ERRORS} more" if len(each) > MOST_ERRORS else ""
        full = [target for _source, target, why in error.args[0] if is_full(str(why))]
        return "; ".join(map(str, each[:MOST_ERRORS])) + rest + (f" ({free_space(str(full[0]))})" if full else "")
    if error.filename is None:
        return error.strerror or str(error) or type(error).__name__
    # the error of a copy contains two file names; the second one is the target
    space = f" ({free_space(str(error.filename2 or error.filename))})" if error.errno in FULL else ""
    return (
        f"{error.filename2 or error.filename}: {error.strerror}{space}"
        if space
        else f"{error.filename}: {error.strerror}"
    )


def is_full(output: str) -> bool:
    """Return whether *output* (of a program or an exception) reports a full file system."""
    return any(os.strerror(number) in output for number in FULL)


def free_space(*paths: str) -> str:
    """Describe the free space on the file systems of *paths*, and the remedy. The paths need not exist."""
    mounts = list(dict.fromkeys(map(_mount_point, paths)))
    free = []
    for mount in mounts:
        found = os.statvfs(mount)
        files = f" and {found.f_favail} files" if found.f_files else ""
        free.append(f"the file system {mount} has {found.f_bavail * found.f_frsize >> 20} MiB{files} free")
    return f"{', '.join(free)}: make room there and run this again"


def _mount_point(path: str) -> str:
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Add *path* to an OSError without a file name, such as that of write(2) on a full file system."""
    try:
        yield
    except OSError as exc:
        if exc.errno is not None and exc.filename is None:
            exc.filename = path
        raise


def refuse_full(directory: str) -> None:
    """Raise OSError if *directory* has no space for the small files that a change is about to write there."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    with writing(directory), tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(ROOM))
        file.flush()
        os.fsync(file.fileno())


class Obstacle(Reported):
    """A file or directory exists where a symlink of this collection belongs."""

    code = "path-obstructed"


def refuse_obstacle(path: str) -> None:
    """Raise Obstacle if *path* is not a symlink: a file may contain data, and a rename cannot replace a directory."""
    if os.path.lexists(path) and not os.path.islink(path):
        kind = "a directory" if os.path.isdir(path) else "a file"
        raise Obstacle(f"{path} is {kind}, not the symlink that belongs there -> move it away: mv {path} {path}.old")


def read_link(path: str) -> str | None:
    """Return the target of the symlink *path*, None if there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def replace_link(path: str, target: str) -> bool:
    """Make *path* a symlink to *target* by one rename; return whether the link has changed."""
    if read_link(path) == target:
        return False
    refuse_obstacle(path)
    directory, name = os.path.split(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    # A fixed name, so that a run replaces the link that an interrupted run has left behind.
    temporary = os.path.join(directory, f".{name}.new")
    remove(temporary)
    os.symlink(target, temporary)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    return True


def read_text(path: str, errors: str = "strict") -> str | None:
    """Return the text of *path*, None if there is no such file.

    *errors* is the error handler for invalid UTF-8 that other programs may have written: ``replace`` to display the text,
    ``surrogateescape`` to write it back unchanged.
    """
    try:
        with open(path, encoding="utf-8", errors=errors) as file:
            return file.read()
    except FileNotFoundError:
        return None


def write_text(path: str, text: str, mode: int = 0o644, gid: int = -1) -> bool:
    """Write *text* to *path* by one rename, which is safe against crashes; return whether the content has changed."""
    if read_text(path, errors="surrogateescape") == text:
        return False
    replace_file(path, text, mode, gid)
    return True


def replace_file(
    path: str,
    text: str,
    mode: int = 0o644,
    gid: int = -1,
    uid: int = -1,
    check: Callable[[str], None] | None = None,
) -> None:
    """Replace *path* atomically with a file that contains *text*, safely against crashes and other accounts.

    Only the account of this process can open the new file until its content is complete and passes *check*, which is called with the path of
    the new file. The old file keeps its mode until the rename.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    # mkstemp() opens the file with O_EXCL and mode 0600, regardless of the umask.
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    try:
        with writing(path), os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            if check:
                check(temporary)
            # Set the owner before the mode, because chown clears mode bits.
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def sha256_of(path: str) -> str:
    """Return the SHA-256 digest of the file *path*."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def leftovers(*paths: str) -> list[str]:
    """Return what interrupted calls of replace_link(), replace_file() and remove_at_once() have left next to *paths*."""
    found = []
    for directory, name in map(os.path.split, paths):
        for pattern in (f".{glob.escape(name)}.*", f".old-{glob.escape(name)}"):
            found += glob.glob(os.path.join(glob.escape(directory), pattern))
    return found


def is_ours(path: str, mode: int) -> bool:
    """Return whether *path* is a regular file with *mode* that belongs to this process's user and group."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    owned = (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
    return stat.S_ISREG(found.st_mode) and owned and stat.S_IMODE(found.st_mode) == mode


def describe_access(path: str) -> str:
    """Return owner, group and mode of *path* as readable text, such as ``root:adm 0640``; "" if it does not exist."""
    try:
        found = os.lstat(path)
    except OSError:
        return ""
    return access(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))


def access(uid: int, gid: int, mode: int) -> str:
    return f"{entry_name(pwd.getpwuid, uid)}:{entry_name(grp.getgrgid, gid)} {mode:04o}"


def entry_name(look_up: Callable, number: int) -> str:
    """Return the name of *number* according to *look_up*, pwd.getpwuid or grp.getgrgid; the number itself if it has no name."""
    try:
        return look_up(number)[0]
    except KeyError:
        return str(number)


def remove(path: str) -> bool:
    """Remove *path* recursively, whatever its type; return whether it existed.

    Does not follow symlinks, even if another account creates one during the removal. A mount point is emptied but kept.
    """
    if not os.path.lexists(path):
        return False
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return True
    # Use a file descriptor, because another process may replace the directory with a symlink.
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _is_mount_point(opened):
            for name in os.listdir(opened):
                remove(f"/proc/self/fd/{opened}/{name}")
        else:
            remove_tree(path)
    finally:
        os.close(opened)
    return True


def remove_at_once(directory: str) -> None:
    """Remove *directory* after renaming it, so that no partly removed directory counts as a complete one after a crash."""
    parent, name = os.path.split(directory)
    leaving = os.path.join(parent, f".old-{name}")
    remove(leaving)
    os.replace(directory, leaving)
    remove(leaving)


def _is_mount_point(directory: int) -> bool:
    """Return whether the open *directory* and its parent are on different file systems."""
    return os.fstat(directory).st_dev != os.stat("..", dir_fd=directory).st_dev


def remove_tree(directory: str) -> None:
    """Remove *directory* recursively at any depth, even if an app has nested directories too deeply for shutil."""
    try:
        shutil.rmtree(directory)
    except (RecursionError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno not in (errno.EMFILE, errno.ENAMETOOLONG):
            raise
        subprocess.run(["rm", "-rf", "--one-file-system", "--", directory], cwd="/", check=False)
        if os.path.lexists(directory):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), directory) from None


class Locked(Reported):
    """Another process holds a lock; the message contains the note in the lock file."""

    code = "app-locked"


@contextlib.contextmanager
def locked(path: str, note: str, wait: float | None = 0, busy: str = "") -> Iterator[None]:
    """Hold the lock *path* with *note* in it; raise Locked if another process still holds it after *wait* seconds.

    Without *wait* (None), wait until the lock is free. The message of Locked consists of *busy* and the note of the other process. The
    kernel releases the lock when this process ends, so a lock cannot become stale. Only root can open the file, so that no other account can
    hold the lock.
    """
    while True:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
            if wait is None:
                fcntl.flock(file, fcntl.LOCK_EX)
            else:
                _wait_for_lock(file, wait, busy)
            if not _is_at(file, path):
                continue  # The previous holder was an uninstallation, which has removed the file.
            with contextlib.suppress(OSError):  # on a full file system, the lock works without a note
                file.truncate(0)
                os.pwrite(file.fileno(), f"{note}, process {os.getpid()}\n".encode(), 0)
            try:
                yield
            finally:
                file.truncate(0)
            return


def _is_at(file: TextIO, path: str) -> bool:
    """Return whether the open *file* is still the one at *path*."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _wait_for_lock(file: TextIO, wait: float, busy: str) -> None:
    deadline = time.monotonic() + wait
    while not _try_lock(file):
        if time.monotonic() >= deadline:
            raise Locked(f"{busy}{file.read()}".strip())
        time.sleep(0.2)


def holder(path: str) -> str | None:
    """Return the note of the process that holds the lock *path*, None if the lock is free."""
    try:
        with open(path, encoding="utf-8") as file:
            return None if _try_lock(file, fcntl.LOCK_SH) else file.read().strip()
    except FileNotFoundError:
        return None


def _try_lock(file: TextIO, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
