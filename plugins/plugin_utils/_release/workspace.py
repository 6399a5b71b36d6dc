# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the uv workspace that contains a project, as uv does."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any


def is_below(name: str, directory: str) -> bool:
    """Return whether the path *name* is *directory* or below it; the root is the empty string."""
    return not directory or name == directory or name.startswith(f"{directory}/")


def workspace_root(directory: str, projects: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the root of the uv workspace with the project in *directory*, None if it is in no workspace or is itself the root.

    *projects* contains the parsed pyproject.toml of *directory* and of the directories above it.
    """
    if _workspace(projects.get(directory, {})) is not None:
        return None
    above = directory
    while above:
        above = posixpath.dirname(above)
        workspace = _workspace(projects.get(above, {}))
        if workspace is not None:
            # uv uses the nearest workspace above a project, even if the project is not a member.
            name = posixpath.relpath(directory, above or ".")
            member = _matches(name, workspace.get("members")) and not _matches(name, workspace.get("exclude"))
            return above if member else None
        if "project" in projects.get(above, {}):
            # uv searches no further, even if the project is itself a member of a workspace.
            return None
    return None


def _workspace(project: Mapping[str, Any]) -> Mapping[str, Any] | None:
    tool = project.get("tool", {})
    uv = tool.get("uv", {}) if isinstance(tool, dict) else {}
    found = uv.get("workspace") if isinstance(uv, dict) else None
    return found if isinstance(found, dict) else None


def _matches(name: str, patterns: object) -> bool:
    """Return whether one of the glob *patterns* matches the whole path *name*; as in uv, ``**`` matches any number of directories."""
    for pattern in patterns if isinstance(patterns, list) else ():
        if isinstance(pattern, str) and _match(PurePosixPath(name).parts, PurePosixPath(pattern).parts):
            return True
    return False


def _match(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_match(parts[count:], pattern[1:]) for count in range(len(parts) + 1))
    return bool(parts) and PurePosixPath(parts[0]).match(pattern[0]) and _match(parts[1:], pattern[1:])
