# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the code that a deploy changes, for --check --diff: the controller has the new ones, and the host those of the live release."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping

# Maximum number of files to list, and to send to a host.
MOST_LINES = 100
MOST_FILES = 10_000


def archived_files(archive: str) -> dict[str, str]:
    """Return a digest of each file and symlink in *archive*, a source tree, by path."""
    with tarfile.open(archive) as tar:
        return {
            member.name: _digest(
                f"link {member.linkname}".encode() if member.issym() else tar.extractfile(member).read()
            )
            for member in tar
            if (member.isreg() or member.issym()) and not _comes_from_build(member.name)
        }


def released_files(release: str) -> dict[str, str]:
    """Return the same for the source tree of *release*, a directory."""
    # With a subdirectory, "code" is a symlink into "source".
    source = f"{release}/source"
    root = source if os.path.isdir(source) else f"{release}/code"
    found = {}
    for directory, directories, names in os.walk(root):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        for name in [*names, *links]:
            path = os.path.join(directory, name)
            target = os.readlink(path) if os.path.islink(path) else ""
            if _comes_from_build(os.path.relpath(path, root), target):
                continue
            if target:
                content = f"link {target}".encode()
            else:
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, root)] = _digest(content)
    return found


def describe_changes(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a line for each file that differs, at most MOST_LINES."""
    lines = [
        f"{'changed' if name in before and name in after else 'added' if name in after else 'removed'} {name}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    more = len(lines) - MOST_LINES
    shown = [*lines[:MOST_LINES], f"and {more} more files"] if more > 0 else lines
    return "".join(f"{line}\n" for line in shown)


def _comes_from_build(path: str, target: str = "") -> bool:
    """Return whether the build adds *path* to the code: bytecode, the metadata of an editable project, or a link to a shared path.

    *target* is that of a symlink. Sources contain no absolute links, because those lead out of the release.
    """
    parts = path.split("/")
    return "__pycache__" in parts or any(part.endswith(".egg-info") for part in parts) or target.startswith("/")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
