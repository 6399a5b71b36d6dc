# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""gunicorn's worker with threads, for WSGI, which exits without losing a request: ``asgi_server_type: gthread``.

Requests that take longer than the drain time are cut, because WSGI cannot notify the app.
"""

from __future__ import annotations

import select
import selectors
import signal
import time

import asgi_deploy_process as process
import asgi_deploy_request as request
from asgi_deploy_roster import Member
from gunicorn.workers.gthread import ThreadWorker

# older versions have a different loop
process.require({"gunicorn": ((26, 0), (27, 999))})
process.check_names(
    {
        ThreadWorker: (
            "set_accept_enabled",
            "wait_for_and_dispatch_events",
            "murder_keepalived",
            "murder_pending",
            "handle",
            "load_wsgi",
        )
    },
    "gunicorn",
)


class DrainThreadWorker(Member, ThreadWorker):
    """gunicorn's worker with threads and a drain. The loop is gunicorn's, except for its end, where gunicorn closes connections.

    ``alive`` stays true until the last connection is closed; otherwise, gunicorn closes connections without announcing it.
    """

    _begun = 0.0

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = request.with_script_name(self.wsgi)

    def run(self) -> None:
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        self.set_accept_enabled(True)
        for sig, handler in {
            signal.SIGTERM: self.go,
            signal.SIGINT: self.handle_quit,
            signal.SIGQUIT: self.handle_quit,
        }.items():
            signal.signal(sig, handler)
        self.serves()
        while not self.may_leave():
            # without a free thread, leave new connections to other workers
            self._look_after(accept=self._busy() < self.cfg.threads and self.nr_conns < self.worker_connections)
            self.recycle(self.nr)
        self.go()
        self._drain(time.monotonic() + self.drain_seconds)

    def _look_after(self, accept: bool) -> None:
        self.beat()
        self.set_accept_enabled(accept)
        self.wait_for_and_dispatch_events(process.TICK)
        self.murder_keepalived()
        self.murder_pending()

    def _drain(self, deadline: float) -> None:
        """Stop accepting, announce the end of connections, and wait for the last one until *deadline*."""
        self.log.info("This worker drains")
        self.max_keepalived = -1  # gunicorn then announces the end of every connection
        while self.nr_conns > 0 and time.monotonic() < deadline:
            self._look_after(accept=False)
        if self.nr_conns > 0:
            self.log.warning("This worker cuts %d connections", self.nr_conns)
            process.die_of(signal.SIGTERM)  # a regular exit would wait for the threads
        self.tpool.shutdown(wait=False)

    def handle(self, conn):
        self._begun = time.monotonic()
        return super().handle(conn)

    def _busy(self) -> int:
        """Return the number of connections that have a thread or wait for one."""
        return self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns)

    def notify(self) -> None:
        """Send a heartbeat unless all threads are stuck, even though the loop itself runs.

        Slow threads are not stuck. Threads count as stuck if no request has begun recently while a connection waits. gunicorn's
        ``timeout`` is longer than nginx waits for a response, so a stuck worker is killed only after nginx has timed out.
        """
        busy = self._busy()
        recent = time.monotonic() - self._begun < 2 * process.HEARTBEAT_SECONDS
        if busy < self.cfg.threads or recent or (busy == self.cfg.threads and not self._connection_waits()):
            super().notify()

    def _connection_waits(self) -> bool:
        """Return whether a connection waits in the queue of the listening socket."""
        return bool(select.select(self.sockets, [], [], 0)[0])
