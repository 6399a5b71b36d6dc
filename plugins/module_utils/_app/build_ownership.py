# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a tree of files to the build account before a build, and take ownership of it as root afterwards.

All processes of the build must have ended before root takes ownership. Root takes ownership of each directory before reading its entries, so
that no other account can change them concurrently.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported

# Deeper than any real source tree. In the supported Python versions, os.walk() and shutil.rmtree() fail at about 1000 levels.
DEPTH_LIMIT = 100
PROGRAM_BYTES = 512 << 20


class HandoverError(Reported):
    """The tree contains a file that a release must not contain; the message contains its path."""

    code = "release-unsafe"


def give(directory: str, uid: int, gid: int) -> None:
    """Change the owner of *directory* and its contents. Before the call, only root must be able to write there."""
    os.lchown(directory, uid, gid)
    for where, directories, names in os.walk(directory):
        for name in directories + names:
            os.lchown(os.path.join(where, name), uid, gid)


def take_over(directory: str, may_leave: Callable[[str], bool]) -> None:
    """Take ownership of *directory* and its contents as root, and remove write access of others, special mode bits and ACLs.

    Raise HandoverError for hard links, for anything other than files, directories and symlinks, and for a symlink out of
    *directory* unless *may_leave* returns True for its path.
    """
    root = os.path.realpath(directory)
    links = []
    pending = [(root, 0)]
    while pending:
        path, depth = pending.pop()
        if depth > DEPTH_LIMIT:
            raise HandoverError(f"{path} is more than {DEPTH_LIMIT} directories below {directory}")
        _take(path, os.lstat(path))
        with os.scandir(path) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    pending.append((entry.path, depth + 1))
                elif stat.S_ISLNK(found.st_mode):
                    os.lchown(entry.path, os.geteuid(), os.getegid())
                    links.append(entry.path)
                else:
                    _refuse(entry.path, found)
                    _take(entry.path, found)
    # Resolve symlinks only now: root owns all of them, so they can no longer change.
    for path in links:
        target = os.path.realpath(path)
        if target != root and not target.startswith(root + os.sep) and not may_leave(path):
            raise HandoverError(f"{path} is a symlink to {target}, outside of the release")


def _refuse(path, found):
    if not stat.S_ISREG(found.st_mode):
        raise HandoverError(f"{path} is neither a file, a directory nor a symlink")
    if found.st_nlink > 1:
        # The same inode may be a system file.
        raise HandoverError(f"{path} is a hard link")


def _take(path, found):
    """Take ownership of a file or directory. Root must own its parent directory, so that *path* still matches *found*."""
    os.lchown(path, os.geteuid(), os.getegid())
    # Remove ACLs and capabilities, but keep the SELinux label, which the policy sets.
    for name in _attributes(path):
        if name != "security.selinux":
            os.removexattr(path, name, follow_symlinks=False)
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~0o755:
        os.chmod(path, mode & 0o755)


def _attributes(path):
    """Return the names of the extended attributes of *path*, none if the file system, such as NFS, does not support them."""
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as exc:
        if exc.errno != errno.ENOTSUP:
            raise
        return []


def copy_program(directory: str, parts: list[str], target: str, owner: int) -> None:
    """Copy a file of the account *owner* to *target* without following symlinks. *parts* are the components of its path below *directory*."""
    descriptors = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)]
    try:
        for number, part in enumerate(parts, 1):
            flags = os.O_NOFOLLOW | (os.O_NONBLOCK if number == len(parts) else os.O_DIRECTORY)
            descriptors.append(os.open(part, os.O_RDONLY | flags, dir_fd=descriptors[-1]))
        found = os.fstat(descriptors[-1])
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner or found.st_size > PROGRAM_BYTES:
            raise HandoverError(f"{os.path.join(directory, *parts)} is not a regular file of the build account")
        with os.fdopen(descriptors.pop(), "rb") as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy)
            os.fchmod(copy.fileno(), 0o755)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
