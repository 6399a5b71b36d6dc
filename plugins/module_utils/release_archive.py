# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack the archive of a source tree without leaving the directory it is meant for."""

from __future__ import annotations

import io
import posixpath
import tarfile


class UnsafeArchive(Exception):
    """The archive holds what no source tree of ours does."""


def escapes(name: str, target: str) -> bool:
    """Return whether the symlink *name* with this *target* leads out of the tree that *name* is relative to."""
    if posixpath.isabs(target):
        return True
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return path == ".." or path.startswith("../")


def extract(archive: str | bytes, directory: str) -> None:
    """Unpack *archive*, a file or its content, into *directory*.

    Raise UnsafeArchive before anything is written if a member is not safe.
    """
    where = {"fileobj": io.BytesIO(archive)} if isinstance(archive, bytes) else {"name": archive}
    with tarfile.open(**where) as tar:
        members = tar.getmembers()
        _check(members)
        if hasattr(tarfile, "data_filter"):
            tar.extractall(directory, members=members, filter="data")
        else:
            tar.extractall(directory, members=members)


def _check(members: list) -> None:
    links = set()
    for member in members:
        parts = member.name.split("/")
        if posixpath.isabs(member.name) or ".." in parts or not member.name:
            raise UnsafeArchive(f"{member.name!r} is not below the tree")
        if any("/".join(parts[:depth]) in links for depth in range(1, len(parts) + 1)):
            raise UnsafeArchive(f"{member.name!r} would be written through a symlink")
        if member.issym():
            if escapes(member.name, member.linkname):
                raise UnsafeArchive(f"{member.name!r} is a symlink out of the tree")
            links.add(member.name)
        elif not (member.isreg() or member.isdir()):
            raise UnsafeArchive(f"{member.name!r} is neither a file, a directory nor a symlink")
