# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values that are given with ``-e name=value`` more often than not, which makes a text of everything.

So ``1`` and ``"1"`` are the same. Each takes the name of a variable and its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import batch_sizes
from ansible_collections.asgi.deploy.plugins.plugin_utils.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Problem, shown

Check = Callable[[str, Any], Iterator[Problem]]

# What Ansible's filter ``bool`` knows, in whichever case. Of anything else it makes False, while a module's option knows
# "y" and "t" as well: a playbook that asks the one and a check that asks the other do not agree.
MEANINGS = {**dict.fromkeys(("yes", "on", "1", "true"), True), **dict.fromkeys(("no", "off", "0", "false"), False)}


def meaning(value: Any) -> bool | None:
    """Return what the filter ``bool`` makes of *value*, None where it would guess."""
    if isinstance(value, int):
        return bool(value) if value in (0, 1) else None
    return MEANINGS.get(value.lower()) if isinstance(value, str) else None


def text(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.strip():
        yield Problem(name, "is no text", "give a text")


def path(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.strip():
        yield Problem(name, f"is {shown(value)}", "give the path of a file on the controller")


def switch(name: str, value: Any) -> Iterator[Problem]:
    if meaning(value) is None:
        yield Problem(name, f"is {shown(value)}", "give true or false")


def number(least: int, most: int | None = None) -> Check:
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"

    def check(name: str, value: Any) -> Iterator[Problem]:
        given = whole(value)
        if given is None or given < least or (most is not None and given > most):
            yield Problem(name, f"is {shown(value)}", f"give a whole number {limits}")

    return check


def one_of(*choices: str) -> Check:
    def check(name: str, value: Any) -> Iterator[Problem]:
        if value not in choices:
            yield Problem(name, f"is {shown(value)}", f"give {' or '.join(map(repr, choices))}")

    return check


def batches(name: str, value: Any) -> Iterator[Problem]:
    try:
        # what a share comes to does not matter here
        batch_sizes(value, 100)
    except ValueError as exc:
        fault, _colon, remedy = str(exc).rpartition(": ")
        yield Problem(name, f"is {shown(value)}: {fault}", remedy)
