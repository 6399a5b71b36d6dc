# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supported values of ``asgi_server_type`` and their properties. docs/explanation/servers.md contains measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

UVICORN = "uvicorn>=0.34,<0.55"
# Supported versions of uvicorn do not start with older versions of websockets, which the source may pin.
UVICORN_EXTRAS = ("uvloop", "httptools", "websockets>=11")


class Server(NamedTuple):
    """The properties of a server."""

    interface: str
    """Interface of the application: asgi or wsgi."""
    plan: str
    """The kind of its workers, a parameter of the worker plan."""
    program: str
    """The server's file in the slot's configuration: gunicorn.conf.py, or a program."""
    settings: str
    """The library that reads asgi_server_settings: uvicorn or gunicorn."""
    worker_class: str | None
    """Worker class of gunicorn; None without gunicorn."""
    modules: tuple[str, ...]
    """The collection's modules in the slot's configuration."""
    requirements: tuple[str, ...]
    """Default requirements of a release."""
    needed: tuple[str, ...]
    """Packages that the server needs to start."""


SERVERS = {
    "uvicorn_worker": Server(
        interface="asgi",
        plan="async",
        program="gunicorn.conf.py",
        settings="uvicorn",
        worker_class="asgi_deploy_worker.DrainWorker",
        modules=("app", "process", "roster", "leftovers", "master", "uvicorn", "worker", "request", "logging"),
        requirements=("gunicorn>=23,<28", UVICORN, "uvicorn-worker>=0.3,<1", *UVICORN_EXTRAS),
        needed=("gunicorn", "uvicorn", "uvicorn-worker"),
    ),
    "gunicorn_asgi": Server(
        interface="asgi",
        plan="async",
        program="gunicorn.conf.py",
        settings="gunicorn",
        worker_class="asgi_deploy_asgi.DrainASGIWorker",
        modules=("app", "process", "roster", "leftovers", "master", "asgi", "request", "logging"),
        requirements=("gunicorn>=27,<28", "uvloop"),
        needed=("gunicorn",),
    ),
    "uvicorn": Server(
        interface="asgi",
        plan="single",
        program="uvicorn.conf.py",
        settings="uvicorn",
        worker_class=None,
        modules=("app", "process", "uvicorn", "single", "request", "logging"),
        requirements=(UVICORN, *UVICORN_EXTRAS),
        needed=("uvicorn",),
    ),
    "gthread": Server(
        interface="wsgi",
        plan="threads",
        program="gunicorn.conf.py",
        settings="gunicorn",
        worker_class="asgi_deploy_threads.DrainThreadWorker",
        modules=("app", "process", "roster", "leftovers", "master", "threads", "request", "logging"),
        requirements=("gunicorn>=26,<28",),
        needed=("gunicorn",),
    ),
}

DEFAULT = "uvicorn_worker"

HEAD_SIZE = 1024 * 1024
HEAD_FIELDS = 32768
"""The server's limits for the size of a request line or header, and for the number of headers.

Both limits exceed what nginx passes on, so only nginx limits requests (``asgi_proxy_header_size``). Only nginx can open the socket.
"""

MARGIN_SECONDS = 5
"""Seconds from the time at which nginx stops waiting for a response until the worker that handles it is killed."""


def server_profile(name: str) -> dict[str, Any]:
    """Return the properties of the server *name*; raise ValueError for an unknown server."""
    if name not in SERVERS:
        raise ValueError(f"{name!r} is not a server; it must be one of {', '.join(SERVERS)}")
    found = SERVERS[name]._asdict()
    found["modules"] = [f"asgi_deploy_{module}.py" for module in found["modules"]]
    found.update(head_size=HEAD_SIZE, head_fields=HEAD_FIELDS)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def hang_timeout_margin(
    name: str, timeout: int, read_timeout: int, locations: Iterable[Mapping[str, Any]] | None = None
) -> int:
    """Return the seconds to add to the *timeout* after which a hanging worker of the server *name* is killed.

    Servers with an event loop need no margin, because a blocked event loop is always a fault. Busy threads cannot be distinguished from
    stuck ones until nginx stops waiting for their responses: after *read_timeout*, or the longest read_timeout of the *locations*.
    """
    if SERVERS[name].interface != "wsgi":
        return 0
    longer = [location["read_timeout"] for location in locations or [] if location.get("read_timeout") is not None]
    return max(0, max([read_timeout, *longer]) + MARGIN_SECONDS - timeout)
