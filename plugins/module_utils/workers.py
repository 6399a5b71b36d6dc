# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that serve an app, and whether a reload has replaced them all."""

from __future__ import annotations

import time
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Unit

# A HUP spawns the replacements within a second; when the same old workers are alone for this long, they have died.
GIVEN_UP_SECONDS = 5


def children(pid: int) -> set:
    """Return the child processes of *pid*, the empty set if there is no such process."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return {int(child) for child in file.read().split()}
    except OSError:
        return set()


def serving(unit: Unit) -> set:
    """Return the processes that serve in the service *unit*: a master's workers, or the one that has no master.

    A master is what can replace its workers in place.
    """
    if not unit.can_reload:
        return {unit.main_pid} if unit.main_pid else set()
    return children(unit.main_pid)


def wait_replaced(
    old: set,
    current: Callable[[], set],
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Wait until none of the workers *old* is among *current* and as many new ones are; return why not, or None."""
    began = alone_since = clock()
    while True:
        now, workers = clock(), current()
        if not workers & old and len(workers) >= len(old):
            return None
        if workers != old:
            alone_since = now
        elif now - alone_since >= GIVEN_UP_SECONDS:
            return "the new workers did not boot; the old ones go on serving"
        if now - began >= timeout:
            left = sorted(workers & old)
            return f"after {timeout:.0f} s {len(left)} of {len(old)} old workers are still there: {left}"
        sleep(0.1)
