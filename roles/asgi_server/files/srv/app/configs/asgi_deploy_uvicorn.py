# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""uvicorn's server with an end that loses nothing, be it one of gunicorn's workers or a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import signal
import time

import asgi_deploy_process as process
import asgi_deploy_request as request
from uvicorn.server import Server, ServerState

CLOSE = (b"connection", b"close")
EVENT_STREAM = (b"accept", b"text/event-stream")

process.require({"uvicorn": ((0, 34), (0, 54))})
process.check_names(
    {
        Server: ("run", "startup", "on_tick", "shutdown", "handle_exit"),
        ServerState(): ("connections", "tasks", "total_requests", "default_headers"),
    },
    "uvicorn",
)


# What DrainServer does itself, and uvicorn would do too soon or too rarely.
SETTINGS = {
    "callback_notify": None,
    "limit_max_requests": None,
    "timeout_graceful_shutdown": process.CLOSING_SECONDS - process.LINGER_SECONDS - 2,
}


class DrainServer(Server):
    """uvicorn's server with an end that loses nothing. *worker* is what it tells how it is, and asks whether to go."""

    def __init__(self, config, worker) -> None:
        config.load()  # by now: it sees what kind of app that is, and what comes around it is ASGI 3
        config.loaded_app = request.wrapped(config.loaded_app)
        super().__init__(config)
        self.worker = worker
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
            process.die_of(sig)
        self.worker.go()

    async def on_tick(self, counter: int) -> bool:
        should_exit = await super().on_tick(counter)  # True after _quit() only
        self.worker.beat()
        self._keep_headers()
        if should_exit or self.draining:
            return should_exit
        self.worker.recycle(self.server_state.total_requests)
        return self.worker.may_leave()

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
        self.worker.go()
        if not self.force_exit:
            await self._drain(self.worker.drain_seconds)
        await super().shutdown(sockets)

    async def _drain(self, seconds: float) -> None:
        """Accept no more, and wait until the last connection and background task has ended, *seconds* at most."""
        self.worker.log.info("This worker drains")
        request.drains()
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
        deadline = time.monotonic() + process.LINGER_SECONDS
        while not self.force_exit and time.monotonic() < deadline and await self._end_event_streams():
            if await self._quiet(time.monotonic() + process.TICK):
                return

    async def _quiet(self, deadline: float) -> bool:
        """Serve on until there is no connection and no background task; return whether that came before *deadline*."""
        counter = 0
        while not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(process.TICK)  # first: a connection just accepted is not in the set yet
            await self.on_tick(counter)  # the heartbeat and the Date header go on
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
