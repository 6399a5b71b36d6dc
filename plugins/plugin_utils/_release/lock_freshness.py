# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect lock files that do not match the declared dependencies, because their tools export or install such a lock without an error.

A lock that cannot be compared counts as fresh, for instance one without the data of its project. `poetry export` itself detects a lock that
does not match.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.dependency_install import package_name

try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
except ImportError:
    # ansible-core requires this package, but ansible-test imports plugins without it.
    Requirement = None

# Tables of a Pipfile that are not part of its hash, or have another name there.
_NOT_CATEGORIES = (
    "source",
    "packages",
    "dev-packages",
    "requires",
    "scripts",
    "pipfile",
    "pipenv",
    "default",
    "develop",
)
# The first version of the format of pdm.lock whose hash pdm_lock_matches() can compute.
_PDM_FORMAT = (4, 1)
# Keys of uv.lock for a dependency that is not a package of an index.
_ELSEWHERE = frozenset(["git", "url", "path", "directory", "editable", "virtual"])
_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)""")


def pdm_lock_matches(project: str, lock: str) -> bool:
    """Return whether the hash in the text of a pdm.lock is that of the text of its pyproject.toml."""
    found = _table(tomllib.loads(lock).get("metadata"))
    algorithm, _colon, expected = str(found.get("content_hash", "")).partition(":")
    version = tuple(int(part) for part in re.findall(r"\d+", str(found.get("lock_version", "0"))))
    pyproject = tomllib.loads(project)
    settings = _table(_table(pyproject.get("tool")).get("pdm"))
    if algorithm != "sha256" or version < _PDM_FORMAT or "lock_inputs" in found or "workspace" in settings:
        return True
    return any(_sha256(content, ", ", ": ") == expected for content in _pdm_contents(pyproject, settings))


def _pdm_contents(pyproject: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the contents of a pyproject.toml that versions of PDM hash."""
    metadata = _table(pyproject.get("project"))
    groups: dict[str, list[Any]] = {}
    for name, group in (
        *_table(pyproject.get("dependency-groups")).items(),
        *_table(settings.get("dev-dependencies")).items(),
    ):
        groups.setdefault(re.sub(r"[^A-Za-z0-9]+", "-", name).lower(), []).extend(group)
    resolution = _table(settings.get("resolution"))
    overrides = settings.get("overrides", resolution.get("overrides", {}))
    for development, overriding in itertools.product(
        (groups, settings.get("dev-dependencies", {})), ({"resolution": resolution}, {"overrides": overrides})
    ):
        yield {
            "sources": settings.get("source", []),
            "dependencies": metadata.get("dependencies", []),
            "dev-dependencies": development,
            "optional-dependencies": metadata.get("optional-dependencies", {}),
            "requires-python": metadata.get("requires-python", ""),
            **overriding,
        }


def pipfile_lock_matches(pipfile: str, lock: str) -> bool:
    """Return whether the hash in the text of a Pipfile.lock is that of the text of its Pipfile."""
    expected = _table(_table(_table(json.loads(lock)).get("_meta")).get("hash")).get("sha256")
    found = tomllib.loads(pipfile)
    # Pipenv also hashes the default source, if the Pipfile has none.
    if not expected or "source" not in found:
        return True
    categories = {
        "default": found.get("packages", {}),
        "develop": found.get("dev-packages", {}),
        **{name: value for name, value in found.items() if name not in _NOT_CATEGORIES},
    }
    meta = {"_meta": {"sources": found["source"], "requires": found.get("requires", {})}}
    normalised = {
        category: {package_name(name): value for name, value in _table(packages).items()}
        for category, packages in categories.items()
    }
    # Only newer versions of Pipenv normalise the names.
    return any(_sha256({**meta, **each}, ",", ":") == expected for each in (normalised, categories))


def _sha256(content: Any, comma: str, colon: str) -> str:
    # Dates are not valid in these tables; the tool reports them.
    text = json.dumps(content, sort_keys=True, separators=(comma, colon), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def uv_lock_fault(project: Mapping[str, Any], package: Mapping[str, Any], groups: Iterable[str]) -> str:
    """Return how *package*, the entry of a project in uv.lock, differs from its pyproject.toml *project*; "" if it does not.

    uv itself would also compare the index, which differs between the controller and developers. *groups* are the groups to install.
    """
    declared, locked = _table(project.get("project")), _table(package.get("metadata"))
    dynamic = declared.get("dynamic") or []
    if not declared or not locked:
        return ""
    sources = {package_name(name) for name in _table(_table(_table(project.get("tool")).get("uv")).get("sources"))}
    pairs = []
    if "dependencies" not in dynamic and "optional-dependencies" not in dynamic:
        extras = _table(declared.get("optional-dependencies"))
        lines = [("", line) for line in declared.get("dependencies", [])]
        lines += [(extra, line) for extra, each in extras.items() for line in each]
        entries = [(_extra_of(entry), entry) for entry in locked.get("requires-dist", [])]
        pairs.append((lines, entries))
    named = {package_name(name): each for name, each in _table(project.get("dependency-groups")).items()}
    for group in map(package_name, groups):
        entries = [("", entry) for entry in _table(locked.get("requires-dev")).get(group, [])]
        if group in named and not any(isinstance(each, dict) for each in named[group]):
            pairs.append(([("", line) for line in named[group]], entries))
    for lines, entries in pairs:
        if fault := _difference(lines, entries, sources):
            return fault
    return ""


def _extra_of(entry: Mapping[str, Any]) -> str:
    found = _EXTRA.search(str(entry.get("marker", "")))
    return found[1] if found else ""


def _difference(
    lines: Iterable[tuple[str, str]], entries: Iterable[tuple[str, Mapping[str, Any]]], sources: Iterable[str]
) -> str:
    """Return the first difference between requirements and their entries in uv.lock, each with its extra; "" if there is none."""
    declared: dict[str, set[tuple]] = {}
    locked: dict[str, set[tuple]] = {}
    try:
        for extra, line in lines:
            found = Requirement(line)
            version = None if found.url else found.specifier
            declared.setdefault(package_name(found.name), set()).add(_comparable(extra, found.extras, version))
        for extra, entry in entries:
            version = None if _ELSEWHERE & set(entry) else SpecifierSet(entry.get("specifier", ""))
            locked.setdefault(package_name(entry["name"]), set()).add(
                _comparable(extra, entry.get("extras") or entry.get("extra", ()), version)
            )
    except (InvalidRequirement, InvalidSpecifier, KeyError, TypeError, AttributeError):
        return ""  # uv reports this
    for name in sorted({*declared, *locked}):
        if name not in locked:
            return f"{name} is not locked"
        if name not in declared:
            return f"{name} is locked, but no longer required"
        versions = {version for *_rest, version in declared[name] | locked[name]}
        # The root of a workspace can set sources for its members.
        if name not in sources and None not in versions and declared[name] != locked[name]:
            return f"{name} was locked with another version specifier or other extras"
    return ""


def _comparable(extra: str, extras: Iterable[str], version: SpecifierSet | None) -> tuple:
    return package_name(extra) if extra else "", frozenset(map(package_name, extras)), version


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
