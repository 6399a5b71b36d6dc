# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""gunicorn's worker with threads, for WSGI, that leaves without dropping a request: ``asgi_server_type: gthread``.

Requests that take longer than the drain time are cut; WSGI has no way to tell the app.
"""

from __future__ import annotations

import select
import selectors
import signal
import time

import asgi_deploy_process as process
from asgi_deploy_master import Member
from gunicorn.workers.gthread import ThreadWorker

# the loop of older ones is another
process.require({"gunicorn": ((26, 0), (27, 999))})
process.check_names(
    {
        ThreadWorker: (
            "set_accept_enabled",
            "wait_for_and_dispatch_events",
            "murder_keepalived",
            "murder_pending",
            "handle",
        )
    },
    "gunicorn",
)


class DrainThreadWorker(Member, ThreadWorker):
    """gunicorn's own loop ends by closing connections; this one is its equal but for the end.

    It stays ``alive`` for gunicorn's code till the last connection has gone, as that closes what it has not announced when
    it is not.
    """

    _begun = 0.0

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
            # who has no thread free leaves new connections to workers that do
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
        """Accept no more, announce the end, and wait for the last connection until *deadline*."""
        self.log.info("This worker drains")
        self.max_keepalived = -1  # no connection may be kept: this is how gunicorn's code comes to say so
        while self.nr_conns > 0 and time.monotonic() < deadline:
            self._look_after(accept=False)
        if self.nr_conns > 0:
            self.log.warning("This worker cuts %d connections", self.nr_conns)
            process.die_of(signal.SIGTERM)  # an ordinary end would wait for the threads
        self.tpool.shutdown(wait=False)

    def handle(self, conn):
        self._begun = time.monotonic()
        return super().handle(conn)

    def _busy(self) -> int:
        """Return how many connections have a thread, or wait for one."""
        return self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns)

    def notify(self) -> None:
        """Beat, unless all threads are stuck: that the loop is not stuck helps nobody.

        Threads may take their time; they are stuck if nothing has begun lately although somebody waits. Whether they are
        is known when nginx has given up on their requests: gunicorn's ``timeout`` is longer than that.
        """
        busy = self._busy()
        lately = time.monotonic() - self._begun < 2 * process.HEARTBEAT_SECONDS
        if busy < self.cfg.threads or lately or (busy == self.cfg.threads and not self._somebody_knocks()):
            super().notify()

    def _somebody_knocks(self) -> bool:
        """Return whether a connection waits to be accepted, by whichever worker."""
        return bool(select.select(self.sockets, [], [], 0)[0])
