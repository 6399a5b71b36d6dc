# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that an app can be served by, and all that follows from the choice: one row for each.

A server is what ``asgi_server_type`` names. docs/servers.md has what was measured of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

UVICORN = "uvicorn>=0.34,<0.55"
ITS_SPEED = ("uvloop", "httptools", "websockets")


class Server(NamedTuple):
    """What follows from one choice of server."""

    interface: str
    """What the application has to be: asgi or wsgi."""
    plan: str
    """The kind of worker that the worker plan counts."""
    program: str
    """The file of the slot's configuration that is the server's: gunicorn.conf.py, or one that is a program itself."""
    worker_class: str | None
    """gunicorn's; None without gunicorn."""
    modules: tuple[str, ...]
    """Our modules that go into the slot's configuration."""
    requirements: tuple[str, ...]
    """Packages that the release gets by default."""
    needed: tuple[str, ...]
    """Those without which it does not start."""


SERVERS = {
    "uvicorn_worker": Server(
        interface="asgi",
        plan="async",
        program="gunicorn.conf.py",
        worker_class="asgi_deploy_worker.DrainWorker",
        modules=("process", "master", "uvicorn", "worker", "request", "logging"),
        requirements=("gunicorn>=23,<28", UVICORN, "uvicorn-worker>=0.3,<1", *ITS_SPEED),
        needed=("gunicorn", "uvicorn", "uvicorn-worker"),
    ),
    "gunicorn_asgi": Server(
        interface="asgi",
        plan="async",
        program="gunicorn.conf.py",
        worker_class="asgi_deploy_asgi.DrainASGIWorker",
        modules=("process", "master", "asgi", "request", "logging"),
        requirements=("gunicorn>=27,<28", "uvloop"),
        needed=("gunicorn",),
    ),
    "uvicorn": Server(
        interface="asgi",
        plan="single",
        program="uvicorn.conf.py",
        worker_class=None,
        modules=("process", "uvicorn", "single", "request", "logging"),
        requirements=(UVICORN, *ITS_SPEED),
        needed=("uvicorn",),
    ),
    "gthread": Server(
        interface="wsgi",
        plan="threads",
        program="gunicorn.conf.py",
        worker_class="asgi_deploy_threads.DrainThreadWorker",
        modules=("process", "master", "threads", "request", "logging"),
        requirements=("gunicorn>=26,<28",),
        needed=("gunicorn",),
    ),
}

DEFAULT = "uvicorn_worker"

MARGIN_SECONDS = 5
"""Between nginx giving up on an answer, and a worker being killed that owes it."""


def server_profile(name: str) -> dict[str, Any]:
    """Return what follows from the choice of the server *name*; raise ValueError for one that there is not."""
    if name not in SERVERS:
        raise ValueError(f"{name!r} is no server; it must be one of {', '.join(SERVERS)}")
    found = SERVERS[name]._asdict()
    found["modules"] = [f"asgi_deploy_{module}.py" for module in found["modules"]]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def server_patience(
    name: str, timeout: int, read_timeout: int, locations: Iterable[Mapping[str, Any]] | None = None
) -> int:
    """Return the seconds by which a worker of the server *name* is killed later than *timeout* says.

    A blocked event loop is at fault whatever it does. Threads that are all busy may well be at work on requests, and only
    time tells those from stuck ones: how long nginx waits for an answer, *read_timeout* or what one of its *locations* says.
    """
    if SERVERS[name].interface != "wsgi":
        return 0
    own = [location["read_timeout"] for location in locations or [] if location.get("read_timeout") is not None]
    return max(0, max([read_timeout, *own]) + MARGIN_SECONDS - timeout)
