# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack the archive of a source tree, and reject members and symlinks that lead out of the target directory."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Callable, Iterable

# Maximum number of symlinks that Linux follows in one path.
LINK_LIMIT = 40


class UnsafeArchive(Exception):
    """The archive contains a member that archives of this collection never contain."""


def escapes(name: str, read_link: Callable[[str], str | None]) -> bool:
    """Return whether the symlink *name*, relative to the root of its tree, leads out of the tree at any step.

    *read_link* returns the target of a symlink in the tree, and None for any other path. Symlinks are resolved as in the kernel:
    ``link/..`` is the parent of the target directory. A symlink that leaves the tree and returns counts as an escape, because
    the owner of the outer directory can redirect it. A symlink whose normalised target is outside also counts, because some versions of
    tarfile write the normalised target.
    """
    pending, resolved, followed = _parts(name), [], 0
    while pending:
        part = pending.pop()
        if part == "..":
            if not resolved:
                return True
            resolved.pop()
            continue
        resolved.append(part)
        target = read_link("/".join(resolved))
        if target is None:
            continue
        followed += 1
        resolved.pop()
        if posixpath.isabs(target) or posixpath.normpath("/".join([*resolved, target])).split("/")[0] == "..":
            return True
        if followed > LINK_LIMIT:
            return False
        pending += _parts(target)
    return False


def _parts(path: str) -> list:
    """Return the components of *path* in reverse order."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def links_outside(directory: str) -> list:
    """Return the relative paths of the symlinks in *directory* that lead out of it, sorted; see :func:`escapes`."""
    found = []
    for where, directories, files in os.walk(directory):
        found += [os.path.join(where, name) for name in directories + files]
    names = [os.path.relpath(path, directory) for path in found if os.path.islink(path)]
    return sorted(name for name in names if escapes(name, lambda link: _target(os.path.join(directory, link))))


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def extract(archive: str | bytes, directory: str) -> None:
    """Unpack *archive*, a file or its content, into *directory*.

    Raise UnsafeArchive before writing if a member is unsafe, and after unpacking if the result is unsafe.
    """
    where = {"fileobj": io.BytesIO(archive)} if isinstance(archive, bytes) else {"name": archive}
    with tarfile.open(**where) as tar:
        members = tar.getmembers()
        _check(members)
        if hasattr(tarfile, "data_filter"):
            try:
                tar.extractall(directory, members=members, filter="data")
            except tarfile.FilterError as exc:
                raise UnsafeArchive(str(exc)) from exc
        else:
            tar.extractall(directory, members=members)
    for name in links_outside(directory):
        raise UnsafeArchive(f"{name!r} is a symlink out of the tree")


def _check(members: Iterable[tarfile.TarInfo]) -> None:
    by_name: dict[str, tarfile.TarInfo] = {}
    for member in members:
        # "a//b" and "./a" are aliases of "a/b" and "a" that would pass the comparisons below.
        plain = posixpath.normpath(member.name) == member.name and not posixpath.isabs(member.name)
        if not plain or member.name.split("/")[0] in (".", ".."):
            raise UnsafeArchive(f"{member.name!r} is not a plain path below the tree")
        if member.name in by_name:
            raise UnsafeArchive(f"{member.name!r} is a duplicate member")
        by_name[member.name] = member
    links = {member.name: member.linkname for member in by_name.values() if member.issym()}
    for name, member in by_name.items():
        parent = posixpath.dirname(name)
        while parent:
            if parent in by_name and not by_name[parent].isdir():
                raise UnsafeArchive(f"{name!r} would be written through {parent!r}, which is not a directory")
            parent = posixpath.dirname(parent)
        if not (member.isreg() or member.isdir() or member.issym()):
            raise UnsafeArchive(f"{name!r} is neither a file, a directory nor a symlink")
        if member.issym() and escapes(name, links.get):
            raise UnsafeArchive(f"{name!r} is a symlink out of the tree")
