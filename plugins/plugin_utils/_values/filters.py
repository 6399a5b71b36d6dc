# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The common part of filter plugins."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ansible.errors import AnsibleFilterError


def as_filter(name: str, function: Callable) -> dict[str, Callable]:
    """Return the filters of a plugin: *function* under *name*; a ValueError becomes an AnsibleFilterError."""

    @wraps(function)
    def run(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except ValueError as exc:
            raise AnsibleFilterError(f"{name}: {exc}") from exc

    return {name: run}
