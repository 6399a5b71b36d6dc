# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Hooks of gunicorn's master that replace workers of any class without losing a request.

gunicorn runs behind a proxy that keeps idle connections open, and systemd holds its socket. A stopping stock worker closes idle
connections, and accepted connections whose request it has not read, without announcing it. If the proxy has just sent a POST
over such a connection, it must answer 502. A stock worker also stops before its replacement has booted. A worker of this
collection exits after a HUP, at ``max_requests``, or when it receives SIGTERM, in these steps:

1. It keeps serving until the wanted number of other workers serve, unless the whole service stops.
2. It stops accepting. The other workers, or the backlog of the held socket, take new connections.
3. It answers its open requests with ``Connection: close``, and leaves idle connections open until the proxy closes them.
   gunicorn's ``keepalive`` must therefore exceed the proxy's.
4. After the drain time, it ends the remaining connections as its class does.

A worker that cannot boot does not affect the others: they keep serving, and the master does not halt. A worker that has booted
is replaced regardless of how it ends. gunicorn itself halts if a worker exits with status 3 or 4, so reap() replaces its code.
The master adopts the child processes that a worker leaves behind, and ends them.

HUPs that arrive during a reload are coalesced into one reload, which starts when the running one is over.

gunicorn spawns a worker only while it has fewer than ``num_workers``, so the master raises that number by one for each worker
that is leaving (make_room()). Master and workers share their state in asgi_deploy_roster.

systemd accepts notifications only from the master (``NotifyAccess=main``). Workers record in the roster that they serve, and
the master reports READY when enough workers do (report_serving()).

Hanging processes are detected at two levels. The master kills and replaces a worker without a heartbeat for gunicorn's
``timeout``. The master feeds systemd's watchdog in its main loop, and only while a serving worker has a recent heartbeat, so
systemd restarts a service whose master hangs or in which no worker serves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import asgi_deploy_process as process
from asgi_deploy_leftovers import Leftovers
from asgi_deploy_roster import POKE, ROSTER, SERVED, Roster, State
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

CRASHES = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP))
"""Signals that a process receives because of a fault in its own code."""

process.require({"gunicorn": ((23, 0), (27, 999))})
process.check_names({Arbiter: ("reap_workers", "murder_workers", "handle_hup", "wakeup", "WORKERS")}, "gunicorn")


HEARTBEAT_LIMIT_SECONDS = 5
"""A serving worker whose last heartbeat is older does not count for the watchdog."""


_room = 0  # number of workers added to gunicorn's num_workers
_changed = False
_making_room = threading.Lock()


def make_room(server) -> None:
    """Adapt gunicorn's number of workers to the roster.

    This function runs in signal handlers and may interrupt itself; the interrupted call then repeats its work.
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
    """Take the number of workers from the configuration, TTIN and TTOU, and add the room."""
    global _room
    if ROSTER.stopping:
        return
    ROSTER.wanted = max(1, server.num_workers - _room)
    _room = ROSTER.room()
    if server.num_workers != ROSTER.wanted + _room:
        server.num_workers = ROSTER.wanted + _room


def on_starting(server) -> None:
    process.store_notify_address()


def when_ready(server) -> None:
    """Handle signals of the workers, and record at once in the roster that the service stops.

    Workers cannot infer it from SIGTERM, because gunicorn also sends SIGTERM to surplus workers. Since version 24, gunicorn handles
    its own SIGTERM only after a running reload, which a release that does not boot can delay.
    """
    if process.UNTESTED:
        server.log.warning("asgi_deploy has not been tested with %s", ", ".join(process.UNTESTED))
    process.print_stacks_on_abort()
    if not process.adopt_orphans():
        server.log.warning("Processes that a worker leaves behind are not ended with it: prctl(2) is not available")
    extend_loop(server)
    ROSTER.wanted = server.num_workers
    master = os.getpid()

    def poked(sig, frame) -> None:
        if os.getpid() == master:
            make_room(server)
            report_serving()

    def stopped_by(gunicorns_handler):
        def handler(sig, frame) -> None:
            if os.getpid() != master:  # a new worker that still has the master's handlers
                process.die_of(sig)
            ROSTER.stopping = True
            gunicorns_handler(sig, frame)

        return handler

    signal.signal(POKE, poked)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(sig, stopped_by(signal.getsignal(sig)))


def on_reload(server) -> None:
    """Begin a generation; gunicorn has just set its number of workers to the configured number."""
    global _room
    ROSTER.generation += 1
    ROSTER.boot_failed = False
    _room = 0
    server.num_workers = ROSTER.wanted = server.cfg.workers
    process.notify_systemd(f"STATUS={describe_reload()} began")


def describe_reload() -> str:
    """Return the text by which the collection's reload module recognises a reload in the unit's status."""
    return f"reload {ROSTER.generation}"


_reported = ""


def report_serving() -> None:
    """Report READY to systemd if the wanted number of workers serve, including one of the newest generation.

    Reports once for each generation and number of workers. If the socket buffer of systemd is full, the next call retries.
    """
    global _reported
    status = f"{ROSTER.wanted} workers serve, {describe_reload()}"
    if status == _reported or ROSTER.stopping or not (ROSTER.newest_serves() and ROSTER.enough_serve()):
        return
    if process.notify_systemd(f"READY=1\nSTATUS={status}", timeout=0):
        _reported = status


def child_exit(server, worker) -> None:
    if ROSTER.state(worker.row) is State.BOOTING:
        ROSTER.boot_failed = True
    ROSTER.mark(worker.row, State.FREE)
    dismiss_outlived(server)
    make_room(server)


def dismiss_outlived(server) -> None:
    """Send SIGTERM to all workers that are older than the last HUP.

    After spawning the new workers, gunicorn stops only the surplus workers. If a new worker has died by then, an old one would
    remain and serve the previous code.
    """
    for pid, worker in list(server.WORKERS.items()):
        if ROSTER.outlived(worker.row):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


class _WorkersSpawned(Exception):
    """Raised when a reload has spawned its workers and gunicorn starts to wait for the old ones."""


def extend_loop(server) -> None:
    """Wrap the methods that gunicorn's main loop calls, because the loop has no hook.

    The loop calls murder_workers() at least once a second, and after each signal.
    """
    gunicorns_murder_workers = server.murder_workers
    feed = watchdog_feeder(server)
    reloads = Reloads(server)
    leftovers = Leftovers(server.log)
    failed = False

    def murder_workers() -> None:
        feed()
        if failed:
            raise HaltServer("Worker failed to boot.", Arbiter.WORKER_BOOT_ERROR)
        gunicorns_murder_workers()
        report_serving()
        leftovers.sweep({server.reexec_pid, getattr(server, "dirty_arbiter_pid", 0), *server.WORKERS})
        reloads.begin_if_due()

    def reap_workers() -> None:
        nonlocal failed
        feed()
        # raised later: gunicorn 23 reaps in a signal handler, where Python ignores exceptions during a fork
        failed = reap(server, leftovers) or failed
        reloads.return_to_loop()

    server.murder_workers = murder_workers
    server.reap_workers = reap_workers
    server.handle_hup = reloads.request
    signal.signal(signal.SIGHUP, reloads.request)


def reap(server, leftovers: Leftovers) -> bool:
    """Reap ended processes like gunicorn's reap_workers(), but without halting on exit status 3 and 4 of any worker.

    Return whether the service must end.
    """
    failed = False
    for pid, code in process.reaped():
        worker = server.WORKERS.pop(pid, None)
        leftovers.adopted_from(pid, code, is_worker=worker is not None)
        if worker is None:
            if pid == server.reexec_pid:
                server.reexec_pid = 0
            continue
        report_end(server.log, pid, code)
        worker.tmp.close()
        failed = failed or ends_service(ROSTER, ROSTER.state(worker.row), code)
        server.cfg.child_exit(server, worker)
    if failed:
        ROSTER.stopping = True
    return failed


def ends_service(roster: Roster, state: State, code: int) -> bool:
    """Return whether the end of a worker with the exit *code* (negative: by a signal) ends the service.

    It does if the worker failed to boot and no other worker serves. A signal from the master or an operator does not count as
    a failure of the worker.
    """
    failed = state is State.BOOTING and (code >= 0 or -code in CRASHES)
    return failed and not roster.count(*SERVED)


def report_end(log, pid: int, code: int) -> None:
    """Log the end of a worker with gunicorn's messages."""
    if code > 0:
        log.error("Worker (pid:%s) exited with code %s.", pid, code)
    elif code == -signal.SIGKILL:
        log.error("Worker (pid:%s) was sent SIGKILL! Perhaps out of memory?", pid)
    elif code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        # SIGTERM ends a worker that is replaced before it has booted
        (log.info if code == -signal.SIGTERM else log.warning)("Worker (pid:%s) was sent %s!", pid, name)


class Reloads:
    """Coalesces HUPs, so that at most one reload runs and one is pending.

    A reload runs until the old workers have exited or the new ones have failed, but no longer than gunicorn's
    ``graceful_timeout``.
    """

    def __init__(self, server) -> None:
        self._server = server
        self._reload = server.handle_hup
        self._master = os.getpid()
        # since version 24, gunicorn waits in reload() for the old workers, and its main loop does not run meanwhile
        self._gunicorn_waits = hasattr(server, "signal_chld")
        self._pending = False
        self._spawning = False
        self._over_by = self._deadline()

    def _deadline(self) -> float:
        return time.monotonic() + self._server.cfg.graceful_timeout

    def request(self, sig=None, frame=None) -> None:
        """Handle SIGHUP."""
        if os.getpid() == self._master:
            self._pending = True
            self._server.wakeup()

    def begin_if_due(self) -> None:
        under_way = ROSTER.reloading() and time.monotonic() < self._over_by
        if not self._pending or under_way or ROSTER.stopping:
            return
        self._pending = (
            False  # reset before the reload reads the configuration, so that a later HUP requests another reload
        )
        self._spawning = self._gunicorn_waits
        try:
            self._reload()
        except _WorkersSpawned:
            pass
        finally:
            self._spawning = False
        self._over_by = self._deadline()

    def return_to_loop(self) -> None:
        """Leave gunicorn's wait for the old workers, which is the last step of its reload and calls reap_workers().

        The main loop then replaces workers that die and kills those that hang, even during a reload.
        """
        if self._spawning:
            raise _WorkersSpawned


def watchdog_feeder(server):
    """Return the function that feeds systemd's watchdog from gunicorn's main loop while a worker serves."""
    if not int(os.environ.get("WATCHDOG_USEC", "0")):
        return lambda: None
    fed = 0.0

    def feed() -> None:
        nonlocal fed
        now = time.monotonic()
        if now - fed >= process.HEARTBEAT_SECONDS and worker_serves(server, now):
            fed = now
            process.feed_watchdog()

    return feed


def worker_serves(server, now: float) -> bool:
    """Return whether one of the workers serves and has a recent heartbeat."""
    for worker in list(server.WORKERS.values()):
        with contextlib.suppress(OSError, ValueError):  # the worker has just been reaped
            if ROSTER.state(worker.row) in SERVED and now - worker.tmp.last_update() < HEARTBEAT_LIMIT_SECONDS:
                return True
    return False
