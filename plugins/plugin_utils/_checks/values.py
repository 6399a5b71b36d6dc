# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check single values, which are usually set with ``-e name=value``.

``-e`` always sets a string, so the checks treat the string ``"1"`` like the number ``1``. Each check takes the name of a variable and its
value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.batches import batch_sizes
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem, shown

Check = Callable[[str, Any], Iterator[Problem]]

# The strings that Ansible's filter ``bool`` recognises, ignoring case. It converts all others to False, even "y" and "t", which module
# options accept. The checks reject these two, because the playbooks use the filter.
MEANINGS = {**dict.fromkeys(("yes", "on", "1", "true"), True), **dict.fromkeys(("no", "off", "0", "false"), False)}


def meaning(value: Any) -> bool | None:
    """Return the result of the filter ``bool`` for *value*; None for a value that it would silently convert to False."""
    if isinstance(value, int):
        return bool(value) if value in (0, 1) else None
    return MEANINGS.get(value.lower()) if isinstance(value, str) else None


def text(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.strip():
        # The message omits the value, which may be a secret.
        yield Problem("text-empty", name, "is empty, or is not a string")


def path(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.strip():
        yield Problem("path-invalid", name, f"is {shown(value)}")


def switch(name: str, value: Any) -> Iterator[Problem]:
    if meaning(value) is None:
        yield Problem("boolean-invalid", name, f"is {shown(value)}")


def number(least: int, most: int | None = None) -> Check:
    """Return a check for integers from *least* to *most*."""
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"

    def check(name: str, value: Any) -> Iterator[Problem]:
        given = whole(value)
        if given is None or given < least or (most is not None and given > most):
            yield Problem("number-out-of-range", name, f"is {shown(value)}", f"use an integer {limits}")

    return check


def one_of(*choices: str) -> Check:
    """Return a check that accepts only *choices*."""

    def check(name: str, value: Any) -> Iterator[Problem]:
        if value not in choices:
            yield Problem("choice-invalid", name, f"is {shown(value)}", f"use {' or '.join(map(repr, choices))}")

    return check


def batches(name: str, value: Any) -> Iterator[Problem]:
    try:
        # Only the format is checked, so any number of hosts will do.
        batch_sizes(value, 100)
    except ValueError as exc:
        fault, _colon, remedy = str(exc).rpartition(": ")
        yield Problem("batches-invalid", name, f"is {shown(value)}: {fault}", remedy)
