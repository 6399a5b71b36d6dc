# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""uvicorn as the only process of a slot, under systemd, without a master: ``asgi_server_type: uvicorn``.

systemd does the work of a master: it holds the socket and restarts the process when it dies or hangs. The app is replaced
through the other slot.
"""

from __future__ import annotations

import logging
import logging.config
import os
import socket
import sys
import time

import asgi_deploy_app
import asgi_deploy_process as process
from asgi_deploy_uvicorn import DrainServer, apply_settings
from uvicorn.config import Config

FIRST_DESCRIPTOR = 3


class SingleProcess:
    """The interface of asgi_deploy_roster.Member for a server without other workers."""

    def __init__(self, graceful_timeout: float) -> None:
        self.log = logging.getLogger("uvicorn.error")
        self.drain_seconds = max(graceful_timeout - process.CLOSING_SECONDS, 0)
        self.going = False
        self._beaten = 0.0

    def serves(self) -> None:
        process.notify_systemd("READY=1\nSTATUS=the only process serves")

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= process.HEARTBEAT_SECONDS:
            self._beaten = now
            process.feed_watchdog()

    def go(self) -> None:
        self.going = True

    def recycle(self, answered: int) -> None:
        """Do nothing, because no other worker can take over."""

    def may_leave(self) -> bool:
        return self.going


def serve(
    *, keepalive: int, graceful_timeout: int, backlog: int, forwarded_allow_ips: str, logging_config: dict
) -> None:
    """Serve the app of asgi_deploy_app on the socket that systemd passes, until a signal stops it."""
    process.store_notify_address()
    process.print_stacks_on_abort()
    apply_logging(logging_config)
    worker = SingleProcess(graceful_timeout)
    if process.UNTESTED:
        worker.log.warning("asgi_deploy has not been tested with %s", ", ".join(process.UNTESTED))
    sys.path.insert(0, os.getcwd())
    config = Config(
        asgi_deploy_app.load(),
        log_config=None,
        timeout_keep_alive=keepalive,
        backlog=backlog,
        forwarded_allow_ips=forwarded_allow_ips,
    )
    apply_settings(config)
    server = DrainServer(config, worker)
    held = held_socket()
    process.keep_connections_from_children([held])
    server.run(sockets=[held])
    sys.exit(0 if server.started else 1)


def held_socket() -> socket.socket:
    """Return the socket that systemd passes, see sd_listen_fds(3). Programs that the app executes do not inherit it."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or os.environ.pop("LISTEN_FDS", "") != "1":
        sys.exit("systemd has passed no socket: start the units of the slot, not this program")
    held = socket.socket(fileno=FIRST_DESCRIPTOR)
    held.set_inheritable(False)
    return held


def apply_logging(config: dict) -> None:
    """Apply *config*, which configures gunicorn's loggers, and copy their handlers to uvicorn's, like UvicornWorker."""
    logging.config.dictConfig(config)
    for kind in ("error", "access"):
        given, logger = logging.getLogger(f"gunicorn.{kind}"), logging.getLogger(f"uvicorn.{kind}")
        logger.handlers, logger.propagate = given.handlers, False
        logger.setLevel(given.level)
