# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems that the checks of the variables report, and their messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.codes import CODES

# Maximum number of characters of a value that a message quotes.
SHOWN = 200


@dataclass(frozen=True)
class Problem:
    """An error: its code, the variable, the fault of its value, and the remedy, by default that of the code."""

    code: str
    variable: str
    fault: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if not self.remedy:
            object.__setattr__(self, "remedy", CODES[self.code].remedy)

    def __str__(self) -> str:
        return mask_urls(line(self.code, f"{self.variable} {self.fault.strip()}", self.remedy))


class Doubt(Problem):
    """A possible error, reported as a warning because the inventory alone does not show whether it is one."""


class AppDoubt(Doubt):
    """A doubt that applies to all hosts of an app. Its warning names the app instead of the host, so Ansible prints it once."""


@dataclass(frozen=True)
class Context:
    """Input of a role's checks: the typed options of all roles, and access to files on the controller.

    ``find`` makes a user's path absolute; the file need not exist.
    """

    options: dict[str, Any]
    find: Callable[[str], Path]


def line(code: str, fault: str, remedy: str = "") -> str:
    """Return the line of a message, by default with the remedy of the code."""
    return f"{fault} -> {remedy or CODES[code].remedy} [{code}]"


def shown(value: Any) -> str:
    """Return *value* as a message quotes it, shortened.

    Credentials in URLs are masked first, because they would not be recognised in a truncated URL.
    """
    try:
        text = mask_urls(repr(value))
    except ValueError:
        # Python cannot convert integers of more than 4300 digits.
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def describe(host: str, problems: list[Problem]) -> str:
    """Return the message for *problems* of *host*, one line each."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join(
        [f"{count} in the variables of {host}; nothing has been changed:", *(f"  {problem}" for problem in problems)]
    )


def describe_doubt(host: str, doubt: Doubt) -> str:
    """Return the warning for *doubt* about *host*."""
    return f"{host}: {doubt}"
