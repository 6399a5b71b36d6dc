# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker processes of an app, and whether a reload has replaced them."""

from __future__ import annotations

import re
import time
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Unit

# After a HUP, new workers start within a second. If only old workers run for this long, the new ones have died.
GIVEN_UP_SECONDS = 5


def children(pid: int) -> set:
    """Return the child processes of *pid*, the empty set if the process does not exist."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return {int(child) for child in file.read().split()}
    except OSError:
        return set()


def serving(unit: Unit) -> set:
    """Return the processes of the service *unit* that serve requests: the master's workers, or the main process if there is no master.

    Only a service with a master supports reloads.
    """
    if not unit.can_reload:
        return {unit.main_pid} if unit.main_pid else set()
    master = group_and_session(unit.main_pid)
    found = {pid: group_and_session(pid) for pid in children(unit.main_pid)}
    return {pid for pid, ids in found.items() if is_worker(pid, ids, master)}


def group_and_session(pid: int) -> tuple | None:
    """Return the process group and the session of *pid*, None if the process does not exist."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The process name is in parentheses, and may itself contain spaces and parentheses.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[2]), int(fields[3])


def is_worker(pid: int, ids: tuple | None, master: tuple | None) -> bool:
    """Return whether the process *pid*, a child of the master, is a worker. Other children are orphans of workers, adopted by the master.

    An orphan is in the process group of its worker or in its own session.
    """
    return ids is not None and master is not None and ids[0] in (pid, master[0]) and ids[1] == master[1]


def reload_number(status: str) -> int | None:
    """Return the number of the reload in the status text of a unit, None if the master does not number reloads."""
    found = re.search(r"\breload (\d+)\b", status)
    return int(found.group(1)) if found else None


def wait_replaced(
    old: set,
    current: Callable[[], set],
    timeout: float,
    has_begun: Callable[[], bool] = lambda: True,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Wait until *current* returns as many new workers as there were *old* ones, and none of these; return the fault, or None.

    The master starts a reload only after the previous reload has ended, which may take as long as the reload itself. Therefore *timeout*
    applies to each of the two.
    """
    requested = began = alone_since = clock()
    begun = False
    while True:
        now, workers = clock(), current()
        if not workers & old and len(workers) >= len(old):
            return None
        if not begun:
            begun = has_begun()
            began = alone_since = now
            if not begun and now - requested >= timeout:
                return f"the reload has not begun within {timeout:.0f} s, because another one is still running"
        if workers != old:
            alone_since = now
        elif now - alone_since >= GIVEN_UP_SECONDS:
            return "the new workers did not boot; the old ones keep serving"
        if now - began >= timeout:
            left = sorted(workers & old)
            return f"after {timeout:.0f} s {len(left)} of {len(old)} old workers still run: {left}"
        sleep(0.1 if begun else 0.5)
