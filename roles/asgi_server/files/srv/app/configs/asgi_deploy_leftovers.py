# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""End the child processes that ended workers have left behind."""

from __future__ import annotations

import signal
import time

import asgi_deploy_process as process


class Leftovers:
    """Child processes of ended workers. The master adopts and ends them, because they may hold connections.

    The master also adopts processes that a running worker has detached. Such a process keeps running until the worker of its
    process group ends, and a process in its own session until the service stops.
    """

    def __init__(self, log) -> None:
        self._log = log
        self._ended: dict[int, bool] = {}  # ended parents, and whether their children are to be killed at once
        self._detached: set[int] = set()
        self._terminated: dict[int, float] = {}  # processes that got SIGTERM, and when to kill them

    def adopted_from(self, pid: int, code: int, is_worker: bool = False) -> None:
        """Record that *pid* has ended; the master has adopted its children."""
        if is_worker or pid in self._terminated:
            self._ended[pid] = not is_worker or code != 0

    def sweep(self, others: set[int]) -> None:
        """End the processes that ended workers have left behind; *others* are regular children of the master.

        Must not be called in a signal handler, which may run between the fork of a worker and its entry in gunicorn's table.
        """
        ended, self._ended = self._ended, {}
        adopted = process.children() - others
        if not adopted and not self._terminated:
            self._detached = set()
            return
        if ended:
            self._end(leftovers_of(adopted - set(self._terminated), self._detached, ended, others))
        elif not self._ended and not process.has_zombie():
            # no parent has just ended, so running workers have detached these
            self._detached = adopted - set(self._terminated)
        now = time.monotonic()
        self._terminated = {pid: at for pid, at in self._terminated.items() if pid in adopted}
        for pid, at in self._terminated.items():
            if now >= at:
                process.send(pid, signal.SIGKILL)

    def _end(self, found: dict[int, bool]) -> None:
        if found:
            self._log.warning("Ending %d processes that a worker has left behind: %s", len(found), sorted(found))
        now = time.monotonic()
        for pid, at_once in found.items():
            self._terminated[pid] = now if at_once else now + process.CLOSING_SECONDS
            if not at_once:
                process.send(pid, signal.SIGTERM)


def leftovers_of(adopted: set[int], detached: set[int], ended: dict[int, bool], living: set[int]) -> dict[int, bool]:
    """Return the *adopted* processes that ended workers have left behind, and for each whether it must be killed at once.

    *ended* maps the process id of each ended worker to True if it failed: its children may hang, too, so they are killed at once.
    Processes that were adopted earlier (*detached*) and those in the process group of a *living* worker are left alone, unless they are
    in the group of an ended worker.
    """
    found = {}
    for pid in adopted:
        group = process.group_of(pid)
        if group in ended or (pid not in detached and group not in living):
            found[pid] = ended.get(group, any(ended.values()))
    return found
