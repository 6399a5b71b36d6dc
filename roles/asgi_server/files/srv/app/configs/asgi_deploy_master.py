# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How gunicorn's master and workers come to lose nothing when workers go, whatever class of gunicorn's they are made of.

They sit behind a proxy that keeps idle connections open, over a socket that somebody else holds (systemd). A stock
worker that stops closes idle connections, and accepted ones whose request it has not read, without having announced
it; the proxy may just have written a POST there and has to answer 502. A stock worker also stops before its
replacement has booted. Ours, when it is to go (after a HUP, at ``max_requests``, on a TERM of its own),

1. serves on until as many others serve as are wanted; only when the whole service stops it does not wait,
2. stops accepting; the others, or the backlog of the held socket, take new connections,
3. answers what it has with ``Connection: close`` and leaves idle connections to the proxy, which has to close them
   first: gunicorn's ``keepalive`` must exceed the proxy's,
4. after the drain time ends what is left, as its kind can.

A worker that cannot boot leaves the others alone: they serve on, and the master does not halt.

How master and workers work together: gunicorn spawns a worker only while it has fewer than ``num_workers``, so the
master keeps that number raised by one for each worker that is on its way out (make_room()). What they need to know of
each other is in the roster, memory that they share. gunicorn.conf.py imports this module and its hooks; it is executed
again on every HUP, this module is not, so there is one roster for each master.

Who hangs is found out at two levels. A worker whose heart has not beaten for gunicorn's ``timeout`` is killed and
replaced by the master. systemd's watchdog is fed by the master, in the loop that looks after the workers, and only while
a worker that serves has a heart that beats: it restarts a service whose master hangs, or in which nobody serves.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import threading
import time
from enum import IntEnum

import asgi_deploy_process as process
from gunicorn.arbiter import Arbiter

RETRY_SECONDS = 5
"""How long a worker waits before it boots where the last one failed to, so that nothing spins."""

POKE = signal.SIGURG
"""From a worker to the master: look at the roster. Nobody else uses it, and where nobody listens it does nothing."""

process.require({"gunicorn": ((23, 0), (27, 999))})


# ---- what the master and its workers know of each other


class State(IntEnum):
    """Where a worker is in its life."""

    FREE = 0  # the row is nobody's
    BOOTING = 1
    SERVING = 2
    GOING = 3  # on its way out; it serves until it may leave, then drains


SERVED = (State.SERVING, State.GOING)

LATELY_SECONDS = 5
"""A worker that serves and has not said so for that long does not serve."""


class _Cell:
    """One number of the shared memory, as an attribute."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __get__(self, roster: Roster, owner: type | None = None) -> int:
        return roster.cells[self._index]

    def __set__(self, roster: Roster, value: int) -> None:
        roster.cells[self._index] = value


class Roster:
    """A row for every living worker, and a few words from the master to all.

    Each row has one writer at a time: the master before the fork and after the worker's death, the worker in between.
    A row is its worker's state and its generation, which a HUP begins anew.
    """

    ROWS = 1024

    stopping = _Cell(0)
    """Whether the whole service is to end."""
    wanted = _Cell(1)
    """How many workers there should be, without those on their way out."""
    generation = _Cell(2)
    boot_failed = _Cell(3)
    """Whether the last worker that tried to boot died of it."""

    def __init__(self) -> None:
        memory = memoryview(mmap.mmap(-1, 4 * (4 + 2 * self.ROWS))).cast("i")
        self.cells = memory[:4]
        self._states = memory[4 : 4 + self.ROWS]
        self._generations = memory[4 + self.ROWS :]

    def enlist(self) -> int:
        """Return the row of a worker that is about to be forked."""
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
        """Whether that worker is of a generation before the newest, and nobody has told it to go."""
        return self._states[row] == State.SERVING and self._generations[row] != self.generation

    def enough_serve(self) -> bool:
        return self.count(State.SERVING) >= self.wanted

    def room(self) -> int:
        """Return how many workers there should be for those on their way out.

        None until one of the newest generation has served: a HUP takes all older workers at once, and a release that
        did not boot then is not tried again while they serve on.
        """
        if any(
            state in SERVED and generation == self.generation
            for state, generation in zip(self._states, self._generations)
        ):
            return self.count(State.GOING)
        return 0


ROSTER = Roster()


# ---- the master; gunicorn.conf.py imports the hooks on_starting, when_ready, on_reload and child_exit

_room = 0  # what has been added to gunicorn's num_workers
_changed = False
_making_room = threading.Lock()


def make_room(server) -> None:
    """Let gunicorn's number of workers follow the roster.

    As it runs in signal handlers it may interrupt itself; then the one interrupted goes round once more.
    """
    global _changed
    _changed = True
    while _changed and _making_room.acquire(blocking=False):
        try:
            _changed = False
            _follow_roster(server)
        finally:
            _making_room.release()


def _follow_roster(server) -> None:
    """Take what the configuration, TTIN and TTOU have made of the number, and add the room."""
    global _room
    if ROSTER.stopping:
        return
    ROSTER.wanted = max(1, server.num_workers - _room)
    _room = ROSTER.room()
    if server.num_workers != ROSTER.wanted + _room:
        server.num_workers = ROSTER.wanted + _room


def on_starting(server) -> None:
    process.keep_systemds_address()


def when_ready(server) -> None:
    """Listen to the workers, and let them know at once when the master is told to stop.

    A TERM alone does not say so: gunicorn sends it to a worker that is surplus as well, and from 24 on it acts on its
    own TERM only after a HUP under way is over, which a release that does not boot can hold up.
    """
    if process.UNTESTED:
        server.log.warning("asgi_deploy has not been tested with %s", ", ".join(process.UNTESTED))
    process.tell_where_on_abort()
    feed_watchdog(server)
    ROSTER.wanted = server.num_workers
    master = os.getpid()

    def poked(sig, frame) -> None:
        if os.getpid() == master:
            make_room(server)

    def stopped_by(gunicorns_handler):
        def handler(sig, frame) -> None:
            if os.getpid() != master:  # a worker so young that it still has the master's handlers
                process.die_of(sig)
            ROSTER.stopping = True
            gunicorns_handler(sig, frame)

        return handler

    signal.signal(POKE, poked)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(sig, stopped_by(signal.getsignal(sig)))


def on_reload(server) -> None:
    """Begin a generation; gunicorn has just set its number of workers to the configured one."""
    global _room
    ROSTER.generation += 1
    ROSTER.boot_failed = False
    _room = 0
    server.num_workers = ROSTER.wanted = server.cfg.workers


def child_exit(server, worker) -> None:
    if ROSTER.state(worker.row) is State.BOOTING:
        ROSTER.boot_failed = True
    ROSTER.mark(worker.row, State.FREE)
    dismiss_outlived(server)
    make_room(server)


def dismiss_outlived(server) -> None:
    """Tell all workers of before the last HUP to go.

    Gunicorn tells as many as are surplus once it has spawned the new ones. Where one of these has died by then, an old worker
    would stay, and serve the former code.
    """
    for pid, worker in list(server.WORKERS.items()):
        if ROSTER.outlived(worker.row):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def feed_watchdog(server) -> None:
    """Let systemd know in gunicorn's loop that all is well; that loop asks nobody, so what it calls is extended.

    It looks for workers that hang once a second, and while it waits for those that a HUP replaces it reaps the dead.
    """
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    if not microseconds:
        return
    fed = 0.0

    def feeding(gunicorns):
        def extended(*args, **kwargs):
            nonlocal fed
            now = time.monotonic()
            if now - fed >= process.HEARTBEAT_SECONDS and somebody_serves(server, now):
                fed = now
                process.feed_watchdog()
            return gunicorns(*args, **kwargs)

        return extended

    server.murder_workers = feeding(server.murder_workers)
    server.reap_workers = feeding(server.reap_workers)


def somebody_serves(server, now: float) -> bool:
    """Return whether one of the workers serves and has said so lately."""
    for worker in list(server.WORKERS.values()):
        with contextlib.suppress(OSError, ValueError):  # it has just been reaped
            if ROSTER.state(worker.row) in SERVED and now - worker.tmp.last_update() < LATELY_SECONDS:
                return True
    return False


# ---- the worker


class Member:
    """What the workers' classes have in common, mixed into one of gunicorn's.

    It boots without harm to others, says in the roster where it is in its life, and knows when it may leave. What it is
    mixed into calls serves() once it does, beat() often, and leaves when may_leave() says so.
    """

    def __init__(self, *args, **kwargs) -> None:  # in the master, before the fork
        super().__init__(*args, **kwargs)
        # gunicorn's own classes would stop at once
        self.recycle_after, self.max_requests = self.max_requests, sys.maxsize
        self.row = ROSTER.enlist()
        self.last_one_failed = bool(ROSTER.boot_failed)
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
            with contextlib.suppress(OSError):  # not ours to signal: then there is no room, and we stay
                os.kill(self.ppid, POKE)

    def init_process(self) -> None:
        """Boot and serve; whatever goes wrong, the master halts only if nobody else serves."""
        if self.last_one_failed:
            self._wait_before_retry()
        try:
            super().init_process()
        except BaseException as exc:
            if isinstance(exc, SystemExit) and not exc.code:
                raise
            self.log.exception("This worker failed")
            if ROSTER.count(*SERVED):
                sys.exit(1)
            ROSTER.stopping = True
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _wait_before_retry(self) -> None:
        deadline = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < deadline and ROSTER.count(*SERVED):
            self.notify()
            time.sleep(process.TICK)

    def init_signals(self) -> None:
        """Die of polite signals, too, until there is something to finish; then the server takes them."""
        for sig in self.SIGNALS:
            signal.signal(sig, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)
        process.tell_where_on_abort()

    def serves(self) -> None:
        self.beat()
        ROSTER.boot_failed = False
        self.mark(State.SERVING)
        if ROSTER.enough_serve():
            process.notify_systemd(f"READY=1\nSTATUS={ROSTER.wanted} workers serve")

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= process.HEARTBEAT_SECONDS:
            self._beaten = now
            self.notify()

    def go(self, *_signal) -> None:
        """Leave as soon as others can do without."""
        if not self.going:
            self.going = True
            self.mark(State.GOING)

    def recycle(self, answered: int) -> None:
        """Go if that many requests are enough."""
        if answered >= self.recycle_after and not self.going:
            self.log.info("This worker has answered its %d requests", self.recycle_after)
            self.go()

    def may_leave(self) -> bool:
        return bool(ROSTER.stopping) or self.orphaned or (self.going and ROSTER.enough_serve())
