# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check of the input finds, and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.release import mask_urls

# what is told of a value: enough to know it by
SHOWN = 200


class Problem(NamedTuple):
    """One objection: which variable, what is wrong with its value, what would be right."""

    variable: str
    fault: str
    remedy: str


class Doubt(Problem):
    """One that is told as a warning, as the inventory cannot say whether it is a fault."""

    __slots__ = ()


@dataclass(frozen=True)
class Context:
    """What a role's checks may look at: every role's typed options, and files on the controller.

    ``find`` turns a path as the user wrote it into an absolute one on the controller; it need not exist.
    """

    options: dict[str, Any]
    find: Callable[[str], Path]


def shown(value: Any) -> str:
    """Return *value* as a problem quotes it: shortened, and first without the credentials of its URLs."""
    try:
        text = mask_urls(repr(value))
    except ValueError:
        # Python writes no more than some thousand digits
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def describe(host: str, problems: list[Problem]) -> str:
    """Return the message for *problems*, one line each. Values that it quotes lose the credentials of their URLs."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the variables of {host}; nothing has been changed:"]
    lines += [f"  {p.variable} {p.fault.strip()} -> {p.remedy}" for p in problems]
    return mask_urls("\n".join(lines))


def describe_doubt(host: str, doubt: Doubt) -> str:
    """Return the warning for *doubt*, which quotes values as a problem does."""
    return mask_urls(f"{host}: {doubt.variable} {doubt.fault.strip()} -> {doubt.remedy}")
