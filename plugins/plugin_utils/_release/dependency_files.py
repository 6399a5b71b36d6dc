# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the files in which a source tree declares its dependencies."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError, shown_list

# Lock files at the root that are not supported, and how to convert each to a supported file.
UNREAD_LOCKS = {
    "poetry.lock": "run `poetry export --output requirements.txt`",
    "pdm.lock": "run `pdm export --output requirements.txt`",
    "Pipfile.lock": "run `pipenv requirements > requirements.txt`",
    "pylock.toml": "write a requirements.txt or a uv.lock as well",
    "pylock.*.toml": "write a requirements.txt or a uv.lock as well",
}
# Files that may declare dependencies if the supported files at the root do not.
CANDIDATES = (
    "*requirements*.txt",
    "*requirements*.in",
    "Pipfile",
    "environment.yml",
    "environment.yaml",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "uv.lock",
)
CANDIDATE_DEPTH = 3
# The phrase that messages use for the installed dependencies, by the kind of declaration.
INSTALLED = {
    "lock": "uv.lock is used instead",
    "requirements": "requirements.txt is used instead",
    "project": "the dependencies of the project are resolved again for each release",
    "list": "the dependencies in pyproject.toml are resolved again for each release",
    "nothing": "nothing is installed for the app",
}


def read_project(text: bytes, variable: str) -> dict[str, Any]:
    """Return the content of a pyproject.toml."""
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SourceError(
            "project-file-invalid", variable, f"holds a pyproject.toml that is not valid: {exc}", "correct that file"
        ) from exc


def declared(names: Iterable[str], project: dict[str, Any], variable: str) -> dict[str, Any]:
    """Return how a tree with the top-level files *names* and this pyproject.toml declares its dependencies."""
    names = set(names)
    if "uv.lock" in names:
        if "pyproject.toml" not in names:
            raise SourceError(
                "lock-without-project",
                variable,
                "holds a uv.lock without a pyproject.toml",
                "add the project's pyproject.toml",
            )
        return {"by": "lock"}
    if "requirements.txt" in names:
        return {"by": "requirements"}
    metadata = project.get("project", {})
    dynamic = "dependencies" in metadata.get("dynamic", [])
    if "build-system" in project or "setup.py" in names or dynamic:
        return {"by": "project"}
    if metadata:
        return {"by": "list", "requirements": list(metadata.get("dependencies", []))}
    return {"by": "nothing"}


def unread_locks(files: Iterable[str], by: str) -> Iterator[tuple[str, str]]:
    """Yield a fault and a remedy for each unsupported lock file among *files*; *by* is the kind of declaration."""
    for name in files:
        export = next((export for pattern, export in UNREAD_LOCKS.items() if fnmatchcase(name, pattern)), None)
        if export and "/" not in name:
            # With a uv.lock, an exported requirements.txt would be ignored, so do not suggest it.
            remedy = f"to use {name}, {export}; otherwise" if by != "lock" else "if this is intended"
            yield f"holds {name}, which is ignored: {INSTALLED[by]}", f"{remedy}, add it to asgi_app_exclude_extra"


def undeclared(files: Iterable[str]) -> tuple[str, str]:
    """Return the fault and the remedy for a tree with these *files* that declares no dependencies."""
    found = [name for name in files if name.count("/") < CANDIDATE_DEPTH and _is_candidate(name)]
    fault = (
        "declares no dependencies, so only those of the server are installed: it has no uv.lock, requirements.txt, "
        "setup.py or pyproject.toml with [project] dependencies or a [build-system] at its root"
    )
    # Prefer production.txt or prod.txt to base.txt and dev.txt.
    listed = [name for name in found if name.endswith(".txt")]
    first = min(listed, key=lambda name: ("prod" not in name, found.index(name)), default=None)
    line = f" with the line `-r {first}`" if first else ""
    if found:
        fault += f", only {shown_list(found)}"
    remedy = f"add a requirements.txt there{line}, an empty one if the app needs none; or set asgi_app_requirements"
    return fault, remedy


def _is_candidate(name: str) -> bool:
    """Return whether *name* may declare dependencies: requirements/base.txt, requirements-dev.txt, backend/pyproject.toml."""
    last = name.rpartition("/")[2]
    in_directory = re.search(r"(?:^|/)requirements/[^/]+\.(?:txt|in)$", name)
    return bool(in_directory) or any(fnmatchcase(last, pattern) for pattern in (*CANDIDATES, *UNREAD_LOCKS))
