# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""uvicorn's server with a drain, as a worker of gunicorn or as a single process."""

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


# Disables features that DrainServer replaces, because uvicorn uses them too early or too rarely. The limit of the request head is larger than
# anything nginx passes on (HEAD_SIZE in the collection's servers.py), because only nginx limits it.
SETTINGS = {
    "callback_notify": None,
    "h11_max_incomplete_event_size": 1024 * 1024,
    "limit_max_requests": None,
    "timeout_graceful_shutdown": process.CLOSING_SECONDS - process.LINGER_SECONDS - 2,
}


def apply_settings(config) -> None:
    """Apply the settings of this collection and of the configuration to uvicorn's *config*."""
    for name, value in {**SETTINGS, **process.UVICORN_SETTINGS}.items():
        setattr(config, name, value)


class DrainServer(Server):
    """uvicorn's server with a drain. *worker* is a Member of asgi_deploy_roster or has its interface."""

    def __init__(self, config, worker) -> None:
        config.load()  # detects the interface of the app; the wrapper below is always ASGI 3
        config.loaded_app = request.wrapped(config.loaded_app)
        super().__init__(config)
        self.worker = worker
        self.draining = False
        self._headers = self.server_state.default_headers

    async def startup(self, sockets=None) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self._quit)
        self.config.ws_protocol_class = closing_cleanly(self.config.ws_protocol_class)
        await super().startup(sockets)
        if self.started:
            self.worker.serves()

    def _quit(self) -> None:
        """Exit at once, for gunicorn's quick shutdown."""
        self.should_exit = self.force_exit = True

    def handle_exit(self, sig, frame) -> None:
        """Handle SIGTERM and SIGINT. Before the server has started, there are no requests to finish."""
        if not self.started:
            process.die_of(sig)
        self.worker.go()

    async def on_tick(self, counter: int) -> bool:
        should_exit = await super().on_tick(counter)  # only true after _quit()
        self.worker.beat()
        self._keep_headers()
        if should_exit or self.draining:
            return should_exit
        self.worker.recycle(self.server_state.total_requests)
        return self.worker.may_leave()

    def _keep_headers(self) -> None:
        """Update one list of default headers in place, which uvicorn replaces every second.

        Responses read the list when they start, so responses to earlier requests contain the announcement, too.
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
        """Stop accepting, and wait up to *seconds* until the last connection and background task has ended."""
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
        # A stream may have started before the announcement. After its end, its connection is idle, and the proxy may send a
        # request over it, so the proxy must close it.
        deadline = time.monotonic() + process.LINGER_SECONDS
        while not self.force_exit and time.monotonic() < deadline and await self._end_event_streams():
            if await self._quiet(time.monotonic() + process.TICK):
                return

    async def _quiet(self, deadline: float) -> bool:
        """Serve until no connection and no background task is left or *deadline* has passed; return which."""
        counter = 0
        while not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(process.TICK)  # before the test, because a new connection is not in the set yet
            await self.on_tick(counter)  # continues heartbeats and updates the Date header
            counter += 1
            if not self.server_state.connections and not self.server_state.tasks:
                return True
        return False

    async def _end_event_streams(self) -> bool:
        """Complete event streams, which never end by themselves. Other unfinished responses are cut off visibly.

        Return whether an HTTP connection is left, which the proxy may reuse.
        """
        cycles = [connection.cycle for connection in self.server_state.connections if hasattr(connection, "cycle")]
        for cycle in filter(None, cycles):  # None before the first request
            if (
                EVENT_STREAM in cycle.scope["headers"]
                and cycle.response_started
                and not cycle.response_complete
                and not cycle.flow.write_paused
            ):
                with contextlib.suppress(Exception):  # not a stream; uvicorn cuts it off
                    await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
                # As after a disconnect, further messages of the app are dropped without an error.
                cycle.disconnected = True
                cycle.message_event.set()
        return bool(cycles)


def closing_cleanly(ws_protocol_class):
    """Return a factory of WebSocket connections of *ws_protocol_class* that a drain closes cleanly.

    Their handshake never contains ``Connection: close``, and the client receives their close code.
    """
    if ws_protocol_class is None:
        return None

    def connection(config, server_state, **kwargs):
        state = copy.copy(server_state)
        state.default_headers = [header for header in state.default_headers if header != CLOSE]
        protocol = ws_protocol_class(config=config, server_state=state, **kwargs)

        def shutdown() -> None:
            protocol.transport = HalfClosing(protocol.transport)
            ws_protocol_class.shutdown(protocol)

        protocol.shutdown = shutdown
        return protocol

    return connection


class HalfClosing:
    """A transport whose close() closes only the sending direction; the peer closes the connection.

    uvicorn closes the connection directly after the close frame. If the client sends a message at that moment, nginx fails to write it,
    and closes both connections without reading the close frame: the client receives 1006 instead of 1012.
    """

    def __init__(self, transport) -> None:
        self._transport = transport

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()
