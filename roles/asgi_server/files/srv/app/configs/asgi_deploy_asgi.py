# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""gunicorn's own ASGI worker, which exits without losing a request: ``asgi_server_type: gunicorn_asgi``.

At the end of the drain time, gunicorn cuts open WebSockets and streams.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import asgi_deploy_process as process
import asgi_deploy_request as request
from asgi_deploy_roster import Member
from gunicorn.arbiter import Arbiter
from gunicorn.workers import gasgi

# older versions announce the end of a connection in several places
process.require({"gunicorn": ((27, 0), (27, 999))})
process.check_names(
    {gasgi.ASGIProtocol: ("_will_close",), gasgi.ASGIWorker: ("_serve", "_shutdown", "handle_quit_signal")}, "gunicorn"
)


class DrainProtocol(gasgi.ASGIProtocol):
    """A connection that the worker closes only after a response has announced it."""

    def _will_close(self, request, response_requires_close):
        return self.worker.draining or super()._will_close(request, response_requires_close)


# the worker has no setting for its protocol class
gasgi.ASGIProtocol = DrainProtocol


class DrainASGIWorker(Member, gasgi.ASGIWorker):
    """gunicorn's ASGI worker with a drain.

    ``alive`` stays true until the last connection is closed; otherwise, gunicorn closes connections without announcing it.
    """

    draining = False
    _main = None

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.asgi = request.wrapped(self.asgi)

    def run(self) -> None:
        super().run()
        if self._main is None:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def notify(self) -> None:
        """Send a heartbeat. The first one from gunicorn's loop means that the worker serves."""
        super().notify()
        if self.servers and self._main is None:
            self._main = asyncio.current_task(self.loop)
            for sig, handler in {
                signal.SIGTERM: self.go,
                signal.SIGINT: self.handle_quit_signal,
                signal.SIGQUIT: self.handle_quit_signal,
            }.items():
                self.loop.add_signal_handler(sig, handler)
            self._watch = self.loop.create_task(self._leave_in_time())
            self.serves()

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        if not self.draining:
            self._main.cancel()

    async def _leave_in_time(self) -> None:
        """Cancel gunicorn's loop when the worker may leave; the loop then calls _shutdown()."""
        while not self.may_leave():
            self.recycle(self.nr)
            await asyncio.sleep(process.TICK)
        self._main.cancel()

    async def _shutdown(self) -> None:
        self._watch.cancel()
        self.go()
        self.log.info("This worker drains")
        request.drains()
        self.draining = True
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + self.drain_seconds
        while not self._quick_shutdown:
            await asyncio.sleep(process.TICK)  # before the test, because a new connection is not counted yet
            self.beat()
            if not self.nr_conns or time.monotonic() > deadline:
                break
        if self.lifespan and not self._quick_shutdown:
            await self.lifespan.shutdown()
