# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A UvicornWorker that leaves without dropping a request: ``asgi_server_type: uvicorn_worker``.

At the end of its drain time it ends WebSockets with code 1012, and event streams with their last chunk.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import asgi_deploy_process as process
from asgi_deploy_master import Member
from asgi_deploy_uvicorn import SETTINGS, DrainServer
from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

process.require({"uvicorn-worker": ((0, 3), (0, 4))})


def check_pair(uvicorn: str, worker: str) -> None:
    """Raise ImportError for two that do not go together."""
    if process.numbers(uvicorn) >= (0, 36) and process.numbers(worker) < (0, 4):
        raise ImportError(f"uvicorn {uvicorn} needs uvicorn-worker 0.4, not {worker}")


check_pair(version("uvicorn"), version("uvicorn-worker"))


class DrainWorker(Member, UvicornWorker):
    """uvicorn as gunicorn's worker, with DrainServer as its server."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for name, value in SETTINGS.items():
            setattr(self.config, name, value)

    def run(self) -> None:
        self.config.app = self.wsgi
        server = DrainServer(self.config, self)
        # uvloop closes a listener twice if it is not a true socket, and by then its number may be a connection's
        server.run(sockets=[listener.sock for listener in self.sockets])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
