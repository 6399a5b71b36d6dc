# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths in the code that the app writes to (asgi_app_source.shared). In every release, they are symlinks into the shared directory.

A path that ends in a slash is a directory, as in .gitignore; the other paths are files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SHARED, SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.workspace import is_below

# Files that only keep a directory in a repository.
PLACEHOLDERS = frozenset((".gitignore", ".gitkeep", ".keep"))


def shared_paths(values: Iterable[str]) -> list[str]:
    """Return the normalised paths, sorted; raise SourceError if one is not below the root of the app or is inside another one."""
    found: list[str] = []
    for value in sorted(values, key=posixpath.normpath):
        path = posixpath.normpath(value)
        if not value.isprintable() or not value or path.startswith(("/", "~")) or path.split("/")[0] in (".", ".."):
            raise _invalid(value, "which is not a path below the root of the app")
        outer = next((each for each in found if is_below(path, each.rstrip("/"))), None)
        if outer:
            raise _invalid(value, f"which {outer!r} contains already")
        found.append(f"{path}/" if value.endswith("/") else path)
    return found


def unshared(entries: Iterable[Any], shared: Sequence[str], subdirectory: str) -> Iterator[Any]:
    """Yield the *entries* of a tree without the *shared* paths of the app in *subdirectory*.

    Raise SourceError if the source contains files there, because the app would not see them.
    """
    places = {posixpath.join(subdirectory, path.rstrip("/")): path for path in shared}
    for entry in entries:
        place = next((each for each in places if is_below(entry.name, each) or is_below(each, entry.name)), None)
        if place is None or (entry.kind == "directory" and entry.name != place and is_below(place, entry.name)):
            yield entry
        elif entry.kind != "directory" and posixpath.basename(entry.name) not in PLACEHOLDERS:
            raise SourceError(
                "source-shared-occupied",
                SHARED,
                f"contains {places[place]!r}, and the source contains {entry.name!r}, which the app would not see",
                f"set asgi_app_exclude_extra to [/{place}], and copy the files that the app needs to its shared directory",
            )
        elif entry.name == place and not places[place].endswith("/"):
            raise _invalid(places[place], "which is a directory in the source", f"write it as {places[place]}/")


def _invalid(
    value: str, fault: str, remedy: str = "list paths such as media/ for a directory, or db.sqlite3 for a file"
) -> SourceError:
    return SourceError("source-shared-invalid", SHARED, f"contains {value!r}, {fault}", remedy)
