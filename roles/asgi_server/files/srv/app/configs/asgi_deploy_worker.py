# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""UvicornWorker that exits without losing a request: ``asgi_server_type: uvicorn_worker``.

At the end of the drain time, it closes WebSockets with code 1012 and completes event streams.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import asgi_deploy_process as process
from asgi_deploy_roster import Member
from asgi_deploy_uvicorn import DrainServer, apply_settings
from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

process.require({"uvicorn-worker": ((0, 3), (0, 4))})


def check_pair(uvicorn: str, worker: str) -> None:
    """Raise ImportError for incompatible versions."""
    if process.numbers(uvicorn) >= (0, 36) and process.numbers(worker) < (0, 4):
        raise ImportError(f"uvicorn {uvicorn} needs uvicorn-worker 0.4, not {worker}")


check_pair(version("uvicorn"), version("uvicorn-worker"))


class DrainWorker(Member, UvicornWorker):
    """uvicorn as gunicorn's worker, with DrainServer as its server."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        apply_settings(self.config)

    def run(self) -> None:
        self.config.app = self.wsgi
        server = DrainServer(self.config, self)
        # uvloop closes a listener that is not a real socket twice, and its descriptor may then belong to a connection.
        server.run(sockets=[listener.sock for listener in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
