# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert [tool.poetry.dependencies] to requirements, for projects without a poetry.lock."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_CLAUSE = re.compile(r"(\^|~=|~|===?|!=|<=|>=|<|>)?\s*v?([0-9][0-9A-Za-z.+_!-]*?)(\.\*)?")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
# Keys of a dependency that a requirement can express, or that do not affect the installed package.
_KNOWN = frozenset("version extras markers python optional git branch tag rev subdirectory url path develop".split())


class PoetryError(ValueError):
    """A dependency has no equivalent as a requirement."""


def poetry_requirements(
    dependencies: Mapping[str, Any], optional: Collection[str] = (), every: bool = False
) -> list[str]:
    """Return the requirements for a table of poetry's *dependencies*; raise PoetryError for one that has no equivalent.

    Optional dependencies are included if their normalised name is in *optional*, or if *every* is true, as for groups.
    """
    found: list[str] = []
    for name, value in dependencies.items():
        if name.lower() == "python":
            continue
        for each in value if isinstance(value, list) else [value]:
            table = each if isinstance(each, dict) else {"version": each}
            if table.get("optional") and not every and re.sub(r"[-_.]+", "-", name).lower() not in optional:
                continue
            found.append(_requirement(name, table))
    return found


def _requirement(name: str, table: Mapping[str, Any]) -> str:
    unknown = sorted(set(table) - _KNOWN - {"source", "allow-prereleases"})
    if unknown:
        raise PoetryError(
            f"has the poetry dependency {name} with {unknown[0]!r}, which is not supported without a lock"
        )
    extras = table.get("extras") or []
    text = f"{name}[{','.join(extras)}]" if extras else name
    if "git" in table:
        revision = table.get("rev") or table.get("tag") or table.get("branch")
        where = f"#subdirectory={table['subdirectory']}" if "subdirectory" in table else ""
        # poetry allows addresses such as git@host:path.
        url = re.sub(r"^([^/:@]+@[^/:]+):(?!//)", r"ssh://\1/", table["git"])
        text += f" @ git+{url}{f'@{revision}' if revision else ''}{where}"
    elif "url" in table:
        text += f" @ {table['url']}"
    elif "path" in table:
        text = f"./{table['path'].removeprefix('./')}"
    else:
        text += specifier(table.get("version", "*"), name)
    markers = [f"({table['markers']})"] if "markers" in table else []
    if "python" in table:
        markers += [
            f"python_version {operator} '{version}'"
            for operator, version in re.findall(
                r"(~=|[=!<>]=|<|>)([0-9][0-9.]*(?:\.\*)?)", specifier(table["python"], name)
            )
        ]
    return f"{text} ; {' and '.join(markers)}" if markers else text


def specifier(constraint: Any, name: str) -> str:
    """Return the version specifier for poetry's *constraint* on the package *name*, empty for any version."""
    if not isinstance(constraint, str) or "|" in constraint:
        raise PoetryError(
            f"has the poetry dependency {name} with the version {constraint!r}, which no requirement can express"
        )
    text = re.sub(r"([=<>~^!])\s+", r"\1", constraint.strip())
    return ",".join(each for clause in re.split(r"[,\s]+", text) if clause for each in _clauses(clause, name))


def _clauses(clause: str, name: str) -> Iterator[str]:
    if clause == "*":
        return
    match = _CLAUSE.fullmatch(clause)
    if not match:
        raise PoetryError(f"has the poetry dependency {name} with the version {clause!r}, which is not valid")
    operator, version, wildcard = match[1], match[2], match[3]
    numbers = [int(number) for number in _NUMBERS.match(version)[0].split(".")]
    if operator == "^":
        place = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
        yield f">={version}"
        yield f"<{_raised(numbers, place)}"
    elif operator == "~":
        yield f">={version}"
        yield f"<{_raised(numbers, min(1, len(numbers) - 1))}"
    elif wildcard:
        yield f"{'!=' if operator == '!=' else '=='}{version}.*"
    else:
        yield f"{operator or '=='}{version}"


def _raised(numbers: list[int], place: int) -> str:
    return ".".join(map(str, [*numbers[:place], numbers[place] + 1]))
