# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The memory that gunicorn's master and workers share, and the workers' side of it.

gunicorn.conf.py is executed again on every HUP, but this module is imported once, so each master has one roster.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import time
from enum import IntEnum

import asgi_deploy_process as process

RETRY_SECONDS = 5
"""Seconds to wait after a failed boot before the next worker boots, so that a broken release does not use all the CPU time."""

POKE = signal.SIGURG
"""Signal from a worker to the master after a change of its row. gunicorn does not use it, and its default action is none."""


class State(IntEnum):
    """The state of a worker."""

    FREE = 0  # the row is unused
    BOOTING = 1
    SERVING = 2
    GOING = 3  # leaving: it serves until enough other workers serve, then drains


SERVED = (State.SERVING, State.GOING)


class _Cell:
    """An attribute that is one number of the shared memory."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __get__(self, roster: Roster, owner: type | None = None) -> int:
        return roster.cells[self._index]

    def __set__(self, roster: Roster, value: int) -> None:
        roster.cells[self._index] = value


class Roster:
    """Shared memory with a row for each worker, and a few numbers that the master writes for all workers.

    Each row has one writer at a time: the master before the fork and after the worker's death, the worker in between.
    A row consists of the worker's state and its generation. Each HUP begins a new generation.
    """

    ROWS = 1024

    stopping = _Cell(0)
    """Whether the service stops."""
    wanted = _Cell(1)
    """The wanted number of workers, not counting those that are leaving."""
    generation = _Cell(2)
    boot_failed = _Cell(3)
    """Whether the last boot of a worker failed."""

    def __init__(self) -> None:
        memory = memoryview(mmap.mmap(-1, 4 * (4 + 2 * self.ROWS))).cast("i")
        self.cells = memory[:4]
        self._states = memory[4 : 4 + self.ROWS]
        self._generations = memory[4 + self.ROWS :]

    def enlist(self) -> int:
        """Reserve and return the row of a worker that is about to be forked."""
        row = self._states.tolist().index(State.FREE)
        self._generations[row] = self.generation
        self._states[row] = State.BOOTING
        return row

    def mark(self, row: int, state: State) -> None:
        self._states[row] = state

    def state(self, row: int) -> State:
        return State(self._states[row])

    def count(self, *states: State) -> int:
        found = self._states.tolist()
        return sum(map(found.count, states))

    def outlived(self, row: int) -> bool:
        """Return whether the worker belongs to an older generation and has not received SIGTERM yet."""
        return self._states[row] == State.SERVING and self._generations[row] != self.generation

    def enough_serve(self) -> bool:
        return self.count(State.SERVING) >= self.wanted

    def reloading(self) -> bool:
        """Return whether the newest generation is still booting, or workers of it and of older generations coexist.

        If the newest generation has failed, the older workers keep serving and the reload is over.
        """
        rows = [row for row in zip(self._states, self._generations) if row[0] != State.FREE]
        newest = [state for state, generation in rows if generation == self.generation]
        return State.BOOTING in newest or 0 < len(newest) < len(rows)

    def room(self) -> int:
        """Return the number of extra workers that replace those that are leaving.

        The number is 0 until a worker of the newest generation serves: after a HUP, all older workers are leaving, and a release
        that does not boot must not be retried while they keep serving.
        """
        return self.count(State.GOING) if self.newest_serves() else 0

    def newest_serves(self) -> bool:
        """Return whether a worker of the newest generation serves."""
        return any(
            state in SERVED and generation == self.generation
            for state, generation in zip(self._states, self._generations)
        )


ROSTER = Roster()


class Member:
    """Mixin of the worker classes: booting, the state in the roster, and when the worker may leave.

    The worker class calls serves() when it serves and beat() often, and leaves when may_leave() returns true.
    """

    def __init__(self, *args, **kwargs) -> None:  # in the master, before the fork
        super().__init__(*args, **kwargs)
        # gunicorn's worker classes would stop at once
        self.recycle_after, self.max_requests = self.max_requests, sys.maxsize
        self.row = ROSTER.enlist()
        self.previous_failed = bool(ROSTER.boot_failed)
        self.going = False
        self._beaten = 0.0

    @property
    def drain_seconds(self) -> float:
        return max(self.cfg.graceful_timeout - process.CLOSING_SECONDS, 0)

    @property
    def orphaned(self) -> bool:
        return os.getppid() != self.ppid

    def mark(self, state: State) -> None:
        ROSTER.mark(self.row, state)
        if not self.orphaned:
            # If the signal fails, the master starts no replacement, so this worker keeps serving.
            with contextlib.suppress(OSError):
                os.kill(self.ppid, POKE)

    def init_process(self) -> None:
        """Boot and serve."""
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.setpgid(0, 0)  # the process group identifies the worker of an adopted process
        process.keep_connections_from_children([listener.sock for listener in self.sockets])
        if self.previous_failed:
            self._wait_before_retry()
        try:
            super().init_process()
        except BaseException as exc:
            if isinstance(exc, SystemExit) and not exc.code:
                raise
            self.log.exception("This worker failed")
            sys.exit(1)

    def _wait_before_retry(self) -> None:
        deadline = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < deadline and ROSTER.count(*SERVED):
            self.notify()
            time.sleep(process.TICK)

    def init_signals(self) -> None:
        """Let signals end the worker until its server handles them; before that it has no requests to finish."""
        for sig in self.SIGNALS:
            signal.signal(sig, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)
        process.print_stacks_on_abort()

    def serves(self) -> None:
        self.beat()
        ROSTER.boot_failed = False
        self.mark(State.SERVING)

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= process.HEARTBEAT_SECONDS:
            self._beaten = now
            self.notify()

    def go(self, *_signal) -> None:
        """Leave as soon as enough other workers serve."""
        if not self.going:
            self.going = True
            self.mark(State.GOING)

    def recycle(self, answered: int) -> None:
        """Leave after *answered* requests if that reaches gunicorn's ``max_requests``."""
        if answered >= self.recycle_after and not self.going:
            self.log.info("This worker has answered its %d requests", self.recycle_after)
            self.go()

    def may_leave(self) -> bool:
        return bool(ROSTER.stopping) or self.orphaned or (self.going and ROSTER.enough_serve())
