# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A UvicornWorker that leaves without dropping a request, and says when it serves.

It sits behind a proxy that keeps idle connections open, over a socket that somebody else holds (systemd). A stock
worker that stops closes idle connections, and accepted ones whose request it has not read, without having announced
it; the proxy may just have written a POST there and has to answer 502. This one, when asked to go,

1. stays open until its replacement serves (if one is coming),
2. stops accepting; the other holders of the socket, or its backlog, take new connections,
3. answers every further request with ``Connection: close`` and leaves idle connections to the proxy, which has to
   close them first: gunicorn's ``keepalive`` must exceed the proxy's,
4. after the drain time ends what is left (WebSockets with code 1012, endless responses) as uvicorn does.

gunicorn.conf.py imports this module, once per master: it is executed again on every HUP, this module is not, so the
roster below is shared by the master and all its workers.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable
from enum import IntEnum

from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

for _name in ("startup", "on_tick", "shutdown", "handle_exit"):
    if not hasattr(Server, _name):
        raise ImportError(f"uvicorn.server.Server has no {_name}: this uvicorn is not supported; use 0.34 to 0.54")

CLOSING_SECONDS = 5
"""Part of gunicorn's graceful_timeout that is kept for closing what did not drain, and for the app's own shutdown."""

RETRY_SECONDS = 1
"""How long a replacement that cannot boot waits before it exits, so that the master does not spin."""


class State(IntEnum):
    """Where a worker is in its life."""

    UNKNOWN = 0
    BOOTING = 1
    SERVING = 2
    LEAVING = 3
    GONE = 4


class Roster:
    """Every worker's generation and state, in memory that the master and its workers share.

    A generation begins with a start or a HUP. Rows are keyed by gunicorn's worker age, which counts up by one; the
    oldest row is reused after ``ROWS`` spawns. Each row has one writer at a time: the master before the fork and after
    the worker's death, the worker in between.
    """

    ROWS = 1024
    _HEAD = struct.Struct("qq")  # generation, youngest age
    _ROW = struct.Struct("qqq")  # age, generation, state

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self._HEAD.size + self.ROWS * self._ROW.size)

    @property
    def generation(self) -> int:
        return self._HEAD.unpack_from(self._memory)[0]

    def begin_generation(self) -> None:
        """Note in the master that the workers spawned from now on replace all before them."""
        generation, youngest = self._HEAD.unpack_from(self._memory)
        self._HEAD.pack_into(self._memory, 0, generation + 1, youngest)

    def enlist(self, age: int) -> None:
        """Note in the master that the worker *age* is about to be forked."""
        self._ROW.pack_into(self._memory, self._offset(age), age, self.generation, State.BOOTING)
        self._HEAD.pack_into(self._memory, 0, self.generation, age)

    def mark(self, age: int, state: State) -> None:
        known_age, generation, _state = self._ROW.unpack_from(self._memory, self._offset(age))
        if known_age == age:
            self._ROW.pack_into(self._memory, self._offset(age), age, generation, state)

    def generation_of(self, age: int) -> int:
        return self._ROW.unpack_from(self._memory, self._offset(age))[1]

    def states(self, since: int) -> list[State]:
        """Return the states of the workers of generation *since* and later."""
        youngest = self._HEAD.unpack_from(self._memory)[1]
        rows = (
            self._ROW.unpack_from(self._memory, self._offset(age))
            for age in range(max(1, youngest - self.ROWS + 1), youngest + 1)
        )
        return [State(state) for _age, generation, state in rows if generation >= since and state]

    def _offset(self, age: int) -> int:
        return self._HEAD.size + (age % self.ROWS) * self._ROW.size


class Verdict(IntEnum):
    """What a worker that was asked to go should do now."""

    WAIT = 0
    LEAVE = 1
    STAY = 2


def judge(replacements: Iterable[State], wanted: int) -> Verdict:
    """Decide from the states of the workers that were started to replace this one.

    LEAVE when *wanted* of them serve, or as many as there will be, or when they have been asked to go themselves: then
    the service stops. WAIT while some boot. STAY when all of them died: a release that does not boot must not end the
    one that serves.
    """
    states = list(replacements)
    serving = states.count(State.SERVING)
    if serving >= wanted:
        return Verdict.LEAVE
    if State.BOOTING in states:
        return Verdict.WAIT
    if serving or State.LEAVING in states:
        return Verdict.LEAVE
    return Verdict.STAY


ROSTER = Roster()


def notify_systemd(message: str) -> None:
    """Send *message* to systemd, if it started us and on_starting() kept its address."""
    address = os.environ.get("ASGI_DEPLOY_NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.sendto(message.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)


# ---- hooks for gunicorn.conf.py; all run in the master


def on_starting(server) -> None:
    """Take systemd's address from the arbiter, which would report READY before a worker has booted."""
    if "NOTIFY_SOCKET" in os.environ:
        os.environ["ASGI_DEPLOY_NOTIFY_SOCKET"] = os.environ.pop("NOTIFY_SOCKET")


def on_reload(server) -> None:
    ROSTER.begin_generation()


def child_exit(server, worker) -> None:
    ROSTER.mark(worker.age, State.GONE)


# ---- the worker


class DrainServer(Server):
    """uvicorn's server with an end that loses nothing."""

    def __init__(self, config, worker: DrainWorker) -> None:
        super().__init__(config)
        self.worker = worker
        self.asked_to_go = False
        self.replaced = False  # known once asked: without a replacement, being asked to go means stop
        self.draining = False

    async def startup(self, sockets=None) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self._quit)
        await super().startup(sockets)
        if self.started:
            self.worker.serves()

    def _quit(self) -> None:
        """End at once, as gunicorn's quick shutdown wants it."""
        self.should_exit = self.force_exit = True

    def handle_exit(self, sig, frame) -> None:
        """Note a polite signal; on_tick() decides what it means."""
        if not self.started:
            super().handle_exit(sig, frame)
            return
        if not self.asked_to_go:
            self.asked_to_go = True
            self.replaced = any(state is not State.GONE for state in self.worker.replacements())

    async def on_tick(self, counter: int) -> bool:
        leave = await super().on_tick(counter)
        if self.draining:
            self._announce_close()
        elif self.asked_to_go and not leave:
            verdict = judge(self.worker.replacements(), self.worker.cfg.workers) if self.replaced else Verdict.LEAVE
            if verdict is Verdict.STAY:
                self.worker.log.error("The workers that were to replace this one did not boot: it stays")
                self.asked_to_go = False
            leave = verdict is Verdict.LEAVE
        return leave

    def _announce_close(self) -> None:
        close = (b"connection", b"close")
        if close not in self.server_state.default_headers:
            self.server_state.default_headers = [*self.server_state.default_headers, close]

    async def shutdown(self, sockets=None) -> None:
        self.worker.leaves()
        self.draining = True
        for server in self.servers:
            server.close()
        self._announce_close()
        await self._drained(self.worker.drain_seconds)
        await super().shutdown(sockets)

    async def _drained(self, seconds: float) -> None:
        """Wait until every connection has been closed by the proxy or by its last response, *seconds* at most."""
        deadline = time.monotonic() + seconds
        counter = 0
        while self.server_state.connections and not self.force_exit and time.monotonic() < deadline:
            await self.on_tick(counter)  # the heartbeat and the Date header go on
            counter += 1
            await asyncio.sleep(0.1)


class DrainWorker(UvicornWorker):
    """What gunicorn runs: boots without harm to others, reports that it serves, drains when asked to go."""

    def __init__(self, age, *args, **kwargs) -> None:  # in the master, before the fork
        super().__init__(age, *args, **kwargs)
        self.config.timeout_graceful_shutdown = CLOSING_SECONDS - 2
        self.has_served = False
        ROSTER.enlist(age)

    @property
    def drain_seconds(self) -> float:
        return max(self.cfg.graceful_timeout - CLOSING_SECONDS, 0)

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGTERM, self._terminated_while_booting)

    def _terminated_while_booting(self, sig, frame) -> None:
        self.leaves()
        signal.signal(sig, signal.SIG_DFL)
        signal.raise_signal(sig)

    def init_process(self) -> None:
        """Boot and serve; if that fails while others serve, exit with a code that does not halt the master."""
        try:
            super().init_process()
        except BaseException as exc:
            left_in_order = isinstance(exc, SystemExit) and exc.code in (None, 0)
            if left_in_order or self.has_served or State.SERVING not in ROSTER.states(since=0):
                raise
            self.log.exception("This worker cannot boot; the workers that serve go on")
            time.sleep(RETRY_SECONDS)
            sys.exit(1)

    def run(self) -> None:
        self.config.app = self.wsgi
        server = DrainServer(self.config, self)
        server.run(sockets=self.sockets)
        if not server.started:
            sys.exit(3)  # gunicorn's "worker failed to boot"

    # -- what the server tells

    def serves(self) -> None:
        self.has_served = True
        ROSTER.mark(self.age, State.SERVING)
        peers = ROSTER.states(since=ROSTER.generation_of(self.age))
        if peers.count(State.SERVING) >= self.cfg.workers:
            notify_systemd(f"READY=1\nSTATUS={self.cfg.workers} workers serve")

    def leaves(self) -> None:
        ROSTER.mark(self.age, State.LEAVING)

    def replacements(self) -> list[State]:
        return ROSTER.states(since=ROSTER.generation_of(self.age) + 1)
