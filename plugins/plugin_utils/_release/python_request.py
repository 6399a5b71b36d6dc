# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Determine the versions of Python that an app accepts, from asgi_app_python and the files of its source."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import (
    PythonRequest,
    every_distribution_fits,
    managed_version,
    matches,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import UV_VERSION
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

VARIABLE = "asgi_app_python"
AUTO = "auto"
VERSION_FILE = ".python-version"
PIPFILE = "Pipfile"

# The first line of .python-version that names a version of CPython: 3.13, 3.13.1, cpython-3.13, or cpython@3.13. pyenv's other entries, such
# as names of virtual environments, describe the developer's machine.
_VERSION_FILE = re.compile(r"(?:cpython[-@])?(3\.\d+)(?:\.\d+)?")
_PIPFILE = re.compile(r"(3(?:\.\d+)?)(?:\.\d+)?")
_VERSION = re.compile(r"3(?:\.\d+){0,2}")
_POETRY = re.compile(r"(\^|~=|~|===?|!=|<=|>=|<|>)?\s*v?(\d+(?:\.\d+)*)(\.\*)?")

# The versions that one file accepts: a phrase that names the declaration, and alternative version specifiers.
Declared = tuple[str, list[str]]


def declared_pythons(
    project: dict[str, Any], version_file: bytes, variable: str, pipfile: bytes = b""
) -> list[Declared]:
    """Return what a pyproject.toml and the contents of a .python-version and a Pipfile declare; raise SourceError for an invalid specifier."""
    found: list[Declared] = []
    required = _table(project.get("project")).get("requires-python")
    if isinstance(required, str):
        found.append((f"requires-python = {required!r}", [required]))
    dependencies = _table(_table(_table(project.get("tool")).get("poetry")).get("dependencies"))
    python = dependencies.get("python")
    python = _table(python).get("version", python)
    if isinstance(python, str):
        try:
            found.append((f"python = {python!r} in [tool.poetry.dependencies]", list(_alternatives(python))))
        except ValueError as exc:
            raise _invalid(variable, exc) from exc
    for origin, accepts in found:
        try:
            [matches(each, "3.11") for each in accepts]
        except ValueError as exc:
            raise _invalid(variable, f"{origin}: {exc}") from exc
    lines = (line.strip() for line in version_file.decode("utf-8", "replace").splitlines())
    named = next(filter(None, map(_VERSION_FILE.fullmatch, lines)), None)
    if named:
        # Only the minor version: a patch version would be that of a developer's machine, without later security fixes.
        found.append((f"{named[0]} in {VERSION_FILE}", [f"=={named[1]}.*"]))
    required = _table(_pipfile(pipfile, variable).get("requires")).get("python_version")
    named = _PIPFILE.fullmatch(required) if isinstance(required, str) else None
    if named:
        found.append((f"python_version = {required!r} in the {PIPFILE}", [f"=={named[1]}.*"]))
    return found


def _pipfile(text: bytes, variable: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise _invalid(variable, exc, PIPFILE) from exc


def locked_pythons(lock: bytes) -> list[Declared]:
    """Return what the start of the uv.lock of a workspace declares: the versions that all members of the workspace accept."""
    found = re.search(rb'^requires-python = "([^"\n]*)"$', lock, re.MULTILINE)
    specifier = found[1].decode("utf-8", "replace") if found else ""
    try:
        matches(specifier, "3.11")
    except ValueError:
        return []  # uv reports this
    return [(f"requires-python = {specifier!r} in uv.lock", [specifier])] if specifier else []


def _alternatives(constraint: str) -> Iterator[str]:
    """Yield poetry's *constraint* as version specifiers, of which one must match."""
    for part in re.split(r"\|\|?", constraint):
        text = re.sub(r"([=<>~^!])\s+", r"\1", part.strip())
        yield ",".join(each for clause in re.split(r"[,\s]+", text) if clause for each in _clauses(clause))


def _clauses(clause: str) -> Iterator[str]:
    if clause == "*":
        return
    match = _POETRY.fullmatch(clause)
    if not match:
        raise ValueError(f"{clause!r} is not a version constraint")
    operator, version, wildcard = match.groups()
    numbers = list(map(int, version.split(".")))
    if operator in ("^", "~"):
        place = min(len(numbers) - 1, 0 if operator == "^" else 1)
        yield f">={version}"
        yield f"<{'.'.join(map(str, [*numbers[:place], numbers[place] + 1]))}"
    elif wildcard or (operator is None and len(numbers) < 3):
        yield f"{operator or '=='}{version}.*"
    else:
        yield f"{operator or '=='}{version}"


def python_request(python: str, declared: Sequence[Sequence[Any]], installer: str) -> PythonRequest | None:
    """Return the versions that *python*, the value of asgi_app_python, and the *declared* ones accept; None if it names a program.

    Raises SourceError if they contradict each other, or if neither a distribution nor uv has such a Python.
    """
    if python == AUTO:
        origin = " and ".join(each for each, _accepts in declared)
        accepts = [",".join(filter(None, parts)) for parts in itertools.product(*(each for _origin, each in declared))]
        variable, fault = "asgi_app_source", f"declares {origin}"
        remedy = f"correct the files of the source, or set {VARIABLE}"
    elif _VERSION.fullmatch(python):
        accepts = [f"=={python}" if python.count(".") == 2 else f"=={python}.*"]
        origin, variable, fault = f"{VARIABLE}: {python!r}", VARIABLE, f"is {python!r}"
        remedy = "set a version of CPython in quotes, such as '3.13', or the path of a Python on the hosts"
    else:
        return None
    managed = managed_version(accepts)
    if not managed:
        fault += f", and uv {UV_VERSION} has no matching version of CPython"
        raise SourceError("python-unavailable", variable, fault, remedy)
    if installer != "uv" or every_distribution_fits(accepts):
        managed = ""
    return PythonRequest(tuple(accepts), managed, origin)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _invalid(variable: str, fault: object, file: str = "pyproject.toml") -> SourceError:
    return SourceError(
        "project-file-invalid", variable, f"holds a {file} that is not valid: {fault}", "correct that file"
    )
