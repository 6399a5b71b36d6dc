# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of errors whose message a module reports, with a stable code."""

from __future__ import annotations


class Reported(Exception):
    """An error with a message for the operator: the fault, the place and the remedy.

    ``code`` is one of plugin_utils/_values/host_codes.py, or empty for an error without a code.
    """

    code = ""

    def __init__(self, message: str = "", code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code


def failure(message: str, code: str) -> dict[str, str]:
    """Return the arguments of fail_json() for *message* and its *code*, which may be empty. The code ends the first line of the message."""
    if not code:
        return {"msg": message}
    first, newline, others = message.partition("\n")
    if newline and first.endswith(":"):
        first, newline = first[:-1], f":{newline}"
    return {"msg": f"{first} [{code}]{newline}{others}", "code": code}
