# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""gunicorn's own ASGI worker that leaves without dropping a request: ``asgi_server_type: gunicorn_asgi``.

WebSockets and streams that are open at the end of the drain time are cut, as gunicorn does it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import asgi_deploy_process as process
import asgi_deploy_request as request
from asgi_deploy_master import Member
from gunicorn.arbiter import Arbiter
from gunicorn.workers import gasgi

# older ones do not announce in one place that they close
process.require({"gunicorn": ((27, 0), (27, 999))})
process.check_names(
    {gasgi.ASGIProtocol: ("_will_close",), gasgi.ASGIWorker: ("_serve", "_shutdown", "handle_quit_signal")}, "gunicorn"
)


class DrainProtocol(gasgi.ASGIProtocol):
    """A connection that is closed by its worker only if the answer before has announced it."""

    def _will_close(self, request, response_requires_close):
        return self.worker.draining or super()._will_close(request, response_requires_close)


# the worker has no other way to be given another class
gasgi.ASGIProtocol = DrainProtocol


class DrainASGIWorker(Member, gasgi.ASGIWorker):
    """It stays ``alive`` for gunicorn's code till the last connection has gone, as that closes what it has not announced
    when it is not.
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
        """Beat; the first time in gunicorn's loop is when the worker serves."""
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
        """End gunicorn's loop, which goes on to _shutdown() when it is cancelled."""
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
            await asyncio.sleep(process.TICK)  # first: a connection just accepted is not counted yet
            self.beat()
            if not self.nr_conns or time.monotonic() > deadline:
                break
        if self.lifespan and not self._quick_shutdown:
            await self.lifespan.shutdown()
