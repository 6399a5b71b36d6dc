# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files in which build backends record the version, such as shop/_version.py.

An app is imported from its source tree, where a file that only a build writes would be missing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

# The names in the files of setuptools-scm and hatch-vcs.
PYTHON = """__version__ = version = {version!r}
__version_tuple__ = version_tuple = {version_tuple!r}
__commit_id__ = commit_id = {commit!r}
"""
TEXT = "{version}"


def version_files(project: Mapping[str, Any], version: str, commit: str) -> Iterator[tuple[str, str]]:
    """Yield the path, relative to the project, and the content of each file that this pyproject.toml configures."""
    values = {"version": version, "version_tuple": _tuple(version), "commit": commit, "scm_version": version}
    for path, template in _configured(project):
        plain = posixpath.normpath(path) if isinstance(path, str) and path else ""
        if not plain or plain.startswith("/") or plain.split("/")[0] in (".", ".."):
            continue
        default = PYTHON if plain.endswith(".py") else TEXT
        try:
            content = (template if isinstance(template, str) else default).format(version, **values)
        except (KeyError, IndexError, ValueError, AttributeError):
            content = default.format(**values)
        yield plain, content


def _configured(project: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    scm = _table(project, "tool", "setuptools_scm")
    root = scm.get("root", ".")
    yield scm.get("version_file"), scm.get("version_file_template") or scm.get("template")
    if isinstance(scm.get("write_to"), str) and isinstance(root, str):
        yield posixpath.join(root, scm["write_to"]), scm.get("write_to_template")
    hook = _table(project, "tool", "hatch", "build", "hooks", "vcs")
    yield hook.get("version-file"), hook.get("template")
    pdm = _table(project, "tool", "pdm", "version")
    yield pdm.get("write_to"), pdm.get("write_template")
    written = _table(project, "tool", "versioningit", "write")
    yield written.get("file"), written.get("template")


def _tuple(version: str) -> tuple[int | str, ...]:
    public, _plus, local = version.partition("+")
    return (*(int(part) if part.isdigit() else part for part in public.split(".")), *([local] if local else []))


def _table(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    found: Any = table
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
