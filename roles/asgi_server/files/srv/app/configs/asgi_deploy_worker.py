# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A UvicornWorker that leaves without dropping a request, and says when it serves.

It sits behind a proxy that keeps idle connections open, over a socket that somebody else holds (systemd). A stock
worker that stops closes idle connections, and accepted ones whose request it has not read, without having announced
it; the proxy may just have written a POST there and has to answer 502. A stock worker also stops before its
replacement has booted. This one, when it is to go (after a HUP, at ``max_requests``, on a TERM of its own),

1. serves on until as many others serve as are wanted; only when the whole service stops it does not wait,
2. stops accepting; the others, or the backlog of the held socket, take new connections,
3. answers what it has with ``Connection: close`` and leaves idle connections to the proxy, which has to close them
   first: gunicorn's ``keepalive`` must exceed the proxy's,
4. after the drain time ends what is left: WebSockets with code 1012, event streams with their last chunk.

A worker that cannot boot leaves the others alone: they serve on, and the master does not halt.

How master and workers work together: gunicorn spawns a worker only while it has fewer than ``num_workers``, so the
master keeps that number raised by one for each worker that is on its way out (make_room()). What they need to know of
each other is in the roster, memory that they share. gunicorn.conf.py imports this module and its hooks; it is executed
again on every HUP, this module is not, so there is one roster for each master.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import mmap
import os
import re
import signal
import socket
import sys
import threading
import time
from enum import IntEnum
from importlib.metadata import version

import asgi_deploy_asgi
from gunicorn.arbiter import Arbiter
from uvicorn.server import Server, ServerState
from uvicorn_worker import UvicornWorker

CLOSING_SECONDS = 10
"""Part of gunicorn's graceful_timeout that is kept for ending what did not drain, and for the app's own shutdown."""

LINGER_SECONDS = 5
"""Of these, how long the proxy may take to close the connections whose streams were ended: more than its keepalive."""

RETRY_SECONDS = 5
"""How long a worker waits before it boots where the last one failed to, so that nothing spins."""

TICK = 0.1
"""uvicorn's: how often, in seconds, a worker looks up from its requests."""

POKE = signal.SIGURG
"""From a worker to the master: look at the roster. Nobody else uses it, and where nobody listens it does nothing."""

CLOSE = (b"connection", b"close")
EVENT_STREAM = (b"accept", b"text/event-stream")

TESTED = {"gunicorn": ((23, 0), (27, 999)), "uvicorn": ((0, 34), (0, 54)), "uvicorn-worker": ((0, 3), (0, 4))}


def check_versions(installed: dict[str, str]) -> list[str]:
    """Return the names of packages that are newer than what is tested; raise ImportError for what cannot work."""
    newer = []
    numbers = {name: tuple(map(int, re.findall(r"\d+", text)[:2])) for name, text in installed.items()}
    for name, (oldest, newest) in TESTED.items():
        if numbers[name] < oldest:
            least = ".".join(map(str, oldest))
            raise ImportError(f"{name} {installed[name]} is too old for asgi_deploy_worker: use {least} or newer")
        if numbers[name] > newest:
            newer.append(f"{name} {installed[name]}")
    if numbers["uvicorn"] >= (0, 36) and numbers["uvicorn-worker"] < (0, 4):
        raise ImportError(f"uvicorn {installed['uvicorn']} needs uvicorn-worker 0.4, not {installed['uvicorn-worker']}")
    return newer


def check_names() -> None:
    """Raise ImportError if uvicorn has lost a name that this module builds on."""
    needed = {
        Server: ("run", "startup", "on_tick", "shutdown", "handle_exit"),
        ServerState(): ("connections", "tasks", "total_requests", "default_headers"),
    }
    for owner, names in needed.items():
        for name in names:
            if not hasattr(owner, name):
                raise ImportError(f"this uvicorn is not supported: {owner} has no {name}; use 0.34 to 0.54")


UNTESTED = check_versions({name: version(name) for name in TESTED})
check_names()


# ---- what the master and its workers know of each other


class State(IntEnum):
    """Where a worker is in its life."""

    FREE = 0  # the row is nobody's
    BOOTING = 1
    SERVING = 2
    GOING = 3  # on its way out; it serves until it may leave, then drains


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

    def enough_serve(self) -> bool:
        return self.count(State.SERVING) >= self.wanted

    def room(self) -> int:
        """Return how many workers there should be for those on their way out.

        None until one of the newest generation has served: a HUP takes all older workers at once, and a release that
        did not boot then is not tried again while they serve on.
        """
        served = (State.SERVING, State.GOING)
        if any(
            state in served and generation == self.generation
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
    """Take systemd's address from the arbiter, which would report READY before a worker has booted."""
    if "NOTIFY_SOCKET" in os.environ:
        os.environ["ASGI_DEPLOY_NOTIFY_SOCKET"] = os.environ.pop("NOTIFY_SOCKET")


def when_ready(server) -> None:
    """Listen to the workers, and let them know at once when the master is told to stop.

    A TERM alone does not say so: gunicorn sends it to a worker that is surplus as well, and from 24 on it acts on its
    own TERM only after a HUP under way is over, which a release that does not boot can hold up.
    """
    if UNTESTED:
        server.log.warning("asgi_deploy_worker has not been tested with %s", ", ".join(UNTESTED))
    ROSTER.wanted = server.num_workers
    master = os.getpid()

    def poked(sig, frame) -> None:
        if os.getpid() == master:
            make_room(server)

    def stopped_by(gunicorns_handler):
        def handler(sig, frame) -> None:
            if os.getpid() != master:  # a worker so young that it still has the master's handlers
                die_of(sig)
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
    make_room(server)


def die_of(sig: int) -> None:
    """End this process as *sig* would if nobody handled it."""
    signal.signal(sig, signal.SIG_DFL)
    signal.raise_signal(sig)


# ---- the worker


class DrainWorker(UvicornWorker):
    """What gunicorn runs: it boots without harm to others, and says in the roster where it is in its life."""

    def __init__(self, *args, **kwargs) -> None:  # in the master, before the fork
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = CLOSING_SECONDS - LINGER_SECONDS - 2
        self.config.limit_max_requests = None  # DrainServer does it: uvicorn would stop at once
        self.row = ROSTER.enlist()
        self.last_one_failed = bool(ROSTER.boot_failed)

    @property
    def drain_seconds(self) -> float:
        return max(self.cfg.graceful_timeout - CLOSING_SECONDS, 0)

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
            if ROSTER.count(State.SERVING, State.GOING):
                sys.exit(1)
            ROSTER.stopping = True
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _wait_before_retry(self) -> None:
        deadline = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < deadline and ROSTER.count(State.SERVING, State.GOING):
            self.notify()
            time.sleep(TICK)

    def run(self) -> None:
        self.config.app = self.wsgi
        self.config.load()  # by now: it sees what kind of app that is, and what comes around it is ASGI 3
        self.config.loaded_app = asgi_deploy_asgi.wrapped(self.config.loaded_app)
        server = DrainServer(self.config, self)
        # uvloop closes a listener twice if it is not a true socket, and by then its number may be a connection's
        server.run(sockets=[listener.sock for listener in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def serves(self) -> None:
        ROSTER.boot_failed = False
        self.mark(State.SERVING)
        if ROSTER.enough_serve():
            notify_systemd(f"READY=1\nSTATUS={ROSTER.wanted} workers serve")


class DrainServer(Server):
    """uvicorn's server with an end that loses nothing."""

    def __init__(self, config, worker: DrainWorker) -> None:
        super().__init__(config)
        self.worker = worker
        self.going = False
        self.draining = False
        self._headers = self.server_state.default_headers

    async def startup(self, sockets=None) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self._quit)
        self.config.ws_protocol_class = without_announcement(self.config.ws_protocol_class)
        await super().startup(sockets)
        if self.started:
            self.worker.serves()

    def _quit(self) -> None:
        """End at once, as gunicorn's quick shutdown wants it."""
        self.should_exit = self.force_exit = True

    def handle_exit(self, sig, frame) -> None:
        """Take a polite signal: who does not serve yet has nothing to finish."""
        if not self.started:
            die_of(sig)
        self._go()

    def _go(self) -> None:
        if not self.going:
            self.going = True
            self.worker.mark(State.GOING)

    async def on_tick(self, counter: int) -> bool:
        should_exit = await super().on_tick(counter)  # True after _quit() only
        self._keep_headers()
        if should_exit or self.draining:
            return should_exit
        if ROSTER.stopping or self.worker.orphaned:
            return True
        if not self.going and self.server_state.total_requests >= self.worker.max_requests:
            self.worker.log.info("This worker has answered its %d requests", self.worker.max_requests)
            self._go()
        return self.going and ROSTER.enough_serve()

    def _keep_headers(self) -> None:
        """Keep uvicorn's default headers in one list for all requests, which uvicorn renews every second.

        Responses read it when they start, so that the announcement is also on those whose request came before.
        """
        if self.server_state.default_headers is not self._headers:
            self._headers[:] = self.server_state.default_headers
            self.server_state.default_headers = self._headers
        if self.draining and CLOSE not in self._headers:
            self._headers.append(CLOSE)

    async def shutdown(self, sockets=None) -> None:
        self._go()
        if not self.force_exit:
            await self._drain(self.worker.drain_seconds)
        await super().shutdown(sockets)

    async def _drain(self, seconds: float) -> None:
        """Accept no more, and wait until the last connection and background task has ended, *seconds* at most."""
        self.worker.log.info("This worker drains")
        asgi_deploy_asgi.drains()
        deadline = time.monotonic() + seconds
        self.draining = True
        self._keep_headers()
        for server in self.servers:
            server.close()
        if await self._quiet(deadline):
            return
        self.should_exit = True  # some libraries watch it to end their streams
        # A stream may have begun before anything was announced: when it has ended, its connection is an idle one of the
        # proxy's, who may send a request there, and has to be the one that closes it.
        deadline = time.monotonic() + LINGER_SECONDS
        while not self.force_exit and time.monotonic() < deadline and await self._end_event_streams():
            if await self._quiet(time.monotonic() + TICK):
                return

    async def _quiet(self, deadline: float) -> bool:
        """Serve on until there is no connection and no background task; return whether that came before *deadline*."""
        counter = 0
        while not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(TICK)  # first: a connection just accepted is not in the set yet
            await super().on_tick(counter)  # the heartbeat and the Date header go on
            self._keep_headers()
            counter += 1
            if not self.server_state.connections and not self.server_state.tasks:
                return True
        return False

    async def _end_event_streams(self) -> bool:
        """Complete the responses that never end by themselves; any other that is cut off must look cut off.

        Return whether there is still an HTTP connection, which the proxy may use again.
        """
        cycles = [connection.cycle for connection in self.server_state.connections if hasattr(connection, "cycle")]
        for cycle in filter(None, cycles):  # there is none before the first request
            if (
                EVENT_STREAM in cycle.scope["headers"]
                and cycle.response_started
                and not cycle.response_complete
                and not cycle.flow.write_paused
            ):
                with contextlib.suppress(Exception):  # no stream after all; uvicorn cuts it off
                    await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
                # as if the client had gone: what the app still sends is dropped, and is no error
                cycle.disconnected = True
                cycle.message_event.set()
        return bool(cycles)


def without_announcement(ws_protocol_class):
    """Return what makes WebSocket connections of that class whose handshake never says ``Connection: close``."""
    if ws_protocol_class is None:
        return None

    def connection(config, server_state, **kwargs):
        state = copy.copy(server_state)
        state.default_headers = [header for header in state.default_headers if header != CLOSE]
        return ws_protocol_class(config=config, server_state=state, **kwargs)

    return connection


def notify_systemd(message: str) -> None:
    """Send *message* to systemd, if it started us and on_starting() kept its address; a worker serves without, too."""
    address = os.environ.get("ASGI_DEPLOY_NOTIFY_SOCKET")
    if address:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with notify, contextlib.suppress(OSError):
            notify.sendto(message.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
