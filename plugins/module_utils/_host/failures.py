# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of expected errors, and multi-line failures: ``msg`` holds the first line, the list ``details`` the others.

Ansible prints a failure twice: as text in the error block, and as JSON in the result, where line breaks appear as ``\\n``. Therefore the
error block gets all lines as text, and the result gets them as a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import reason_of
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import SystemdError

# Errors whose message is reported to the user; all others are bugs.
EXPECTED = (Reported, SystemdError, OSError, ValueError)


def error_message(error: Exception) -> str:
    """Return the message for *error*, one of the EXPECTED."""
    if isinstance(error, OSError):
        return reason_of(error)
    return f"systemd: {error}" if isinstance(error, SystemdError) else str(error)


class Details(Exception):
    """The remaining lines of a failure's message, for Ansible's error block."""


def split_message(message: str) -> tuple[str, list[str]]:
    """Return the first line of *message* without a trailing colon, and the other lines without surrounding blank lines."""
    first, *others = message.strip().splitlines() or [""]
    details = "\n".join(line.rstrip() for line in others).strip("\n").splitlines()
    return first.rstrip(": " if details else None), details


def whole_message(result: Mapping[str, Any]) -> str:
    """Return all lines of the message in the *result* of a failed task."""
    return "\n".join([str(result.get("msg", "")), *map(str, result.get("details") or [])])
