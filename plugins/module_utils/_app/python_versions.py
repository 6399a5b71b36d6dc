# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Python: match version specifiers, and choose the CPython that uv installs if the distribution's does not match.

A controller and its hosts evaluate the same specifiers. Hosts have no library for them, so this file implements the operators of PEP 440 for
final releases; a pre-release counts as its final release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import VERSIONS

SYSTEM_PYTHON = "python3"

# Minor versions of the distributions' Pythons, from the oldest to the newest supported distribution.
DISTRIBUTIONS = ("3.11", "3.12", "3.13", "3.14")

# uv's names of the machines for which it has builds of CPython with glibc, by the name of the machine in uname(2).
ARCHITECTURES = {
    "x86_64": "x86_64",
    "aarch64": "aarch64",
    "ppc64le": "powerpc64le",
    "riscv64": "riscv64gc",
    "s390x": "s390x",
}

_CLAUSE = re.compile(r"(~=|===?|!=|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)(\.\*)?(?:(?:a|b|rc|\.?dev)\d*)?")
_RELEASE = re.compile(r"\d+(?:\.\d+)*")


class PythonRequest(NamedTuple):
    """The versions of Python that an app accepts.

    ``accepts`` are alternative version specifiers. ``managed`` is the version of CPython that uv installs on a host whose own Python does not
    match, empty for none. ``origin`` is the phrase for messages that names the source of the request.
    """

    accepts: tuple[str, ...] | list[str]
    managed: str
    origin: str

    def accepts_version(self, version: str) -> bool:
        return any(matches(specifier, version) for specifier in self.accepts)

    @property
    def identity(self) -> str:
        """The part of the release's id. It is the same on all hosts, and depends on the managed version only if a host may need it."""
        return f"{SYSTEM_PYTHON} or {self.managed}" if self.managed else SYSTEM_PYTHON

    @property
    def floor(self) -> str:
        """The oldest minor version that a host may use."""
        if not self.managed:
            return DISTRIBUTIONS[0]
        fitting = [minor for minor in DISTRIBUTIONS if managed_version(self.accepts, [minor])]
        return min([*fitting, minor_of(self.managed)], key=numbers)


def matches(specifier: str, version: str) -> bool:
    """Return whether *version* matches all clauses of *specifier*; raise ValueError if the specifier is invalid."""
    return all(_matches(*clause, numbers(version)) for clause in _clauses(specifier))


def numbers(version: str) -> tuple:
    """Return the release numbers at the start of *version*."""
    found = _RELEASE.match(version)
    return tuple(map(int, found.group().split("."))) if found else ()


def _clauses(specifier: str) -> Iterator[tuple]:
    for text in filter(None, (part.strip() for part in specifier.split(","))):
        found = _CLAUSE.fullmatch(text)
        if not found or (found[1] == "~=" and "." not in found[2]):
            raise ValueError(f"{text!r} is not a version specifier")
        if found[3] and found[1] not in ("==", "!="):
            raise ValueError(f"{text!r} is not a version specifier: write {_without_wildcard(found[1], found[2])!r}")
        yield found[1], numbers(found[2]), bool(found[3])


def _without_wildcard(operator: str, version: str) -> str:
    """Return a valid specifier for a version prefix with an operator that does not allow a prefix."""
    *front, last = version.split(".")
    following = ".".join([*front, str(int(last) + 1)])
    return {">": f">={following}", "<=": f"<{following}", "~=": f"=={version}.*", "===": f"=={version}.*"}.get(
        operator, f"{operator}{version}"
    )


def without_wildcards(specifier: str) -> str:
    """Return *specifier* with valid clauses in place of those such as >=3.7.*, which installers accept in metadata of old wheels."""
    return re.sub(
        r"(~=|===|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)\.\*", lambda found: _without_wildcard(found[1], found[2]), specifier
    )


def _matches(operator: str, wanted: tuple, prefix: bool, found: tuple) -> bool:
    if prefix:
        return (_padded(found, len(wanted))[: len(wanted)] == wanted) is (operator == "==")
    if operator == "~=":
        return _compare(">=", found, wanted) and _matches("==", wanted[:-1], True, found)
    return _compare(operator, found, wanted)


def _compare(operator: str, left: tuple, right: tuple) -> bool:
    size = max(len(left), len(right))
    left, right = _padded(left, size), _padded(right, size)
    return {
        "==": left == right,
        "===": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def _padded(version: tuple, size: int) -> tuple:
    return version + (0,) * (size - len(version))


def every_distribution_fits(accepts: Iterable[str]) -> bool:
    """Return whether the Python of every supported distribution satisfies one of the specifiers *accepts*. The patch version counts as 0."""
    accepts = list(accepts)
    return all(any(matches(specifier, f"{minor}.0") for specifier in accepts) for minor in DISTRIBUTIONS)


def managed_version(accepts: Iterable[str], minors: Iterable[str] = tuple(VERSIONS)) -> str:
    """Return the version of CPython that uv installs for the specifiers *accepts*, one of *minors*, "" if none matches.

    It is the newest patch version, because of security fixes, of the oldest matching minor version that is not older than the Python of the
    oldest distribution: a new version of uv then changes the patch version of an app's Python, but not its minor version.
    """
    accepts = list(accepts)
    newest = {}
    for minor in minors:
        found = [f"{minor}.{patch}" for patch in VERSIONS[minor]]
        matching = [version for version in found if any(matches(specifier, version) for specifier in accepts)]
        if matching:
            newest[numbers(minor)] = max(matching, key=numbers)
    oldest = numbers(DISTRIBUTIONS[0])
    supported = [minor for minor in newest if minor >= oldest]
    return newest[min(supported) if supported else max(newest)] if newest else ""


def minor_of(version: str) -> str:
    """Return the first two numbers of *version*, such as 3.13."""
    return ".".join(version.split(".")[:2])


def key_of(version: str, machine: str) -> str:
    """Return uv's name of the build of CPython *version* for *machine*; raise ValueError if uv has none."""
    if machine not in ARCHITECTURES:
        raise ValueError(f"uv has no CPython for {machine}")
    return f"cpython-{version}-linux-{ARCHITECTURES[machine]}-gnu"
