# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What stands between the server and the app: it notes whose request is being answered, and measures it if that is wanted.

It is plain ASGI around whatever the server has loaded, for each kind of server alike. It passes every message on as it
is, so that an app cannot tell whether it is there.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

REQUEST_ID = ContextVar("asgi_deploy_request_id", default=None)
"""The id of the request that is being answered, for the log; None outside of one."""

HEADER = b"x-request-id"
# What the proxy of this collection sends. Anything else is from somebody who does not go through it, and may be anything.
acceptable = re.compile(rb"[0-9A-Za-z._-]{8,128}").fullmatch

measure = None
"""What also goes around the app: asgi_deploy_metrics sets it in a worker that is to be measured."""

on_drain = None
"""Called when the worker stops accepting; set like ``measure``."""


def wrapped(app):
    """Return *app*, an ASGI 3 application, with what this collection puts around it."""
    inner = app
    if measure:
        try:
            inner = measure(app)
        except Exception as exc:  # noqa: BLE001 - to be counted is no reason not to serve
            logging.getLogger("gunicorn.error").warning("Nothing is measured: %r", exc)

    async def asgi_deploy(scope, receive, send):
        if scope["type"] != "lifespan":
            # also where there is none: a server may answer all requests of a connection in one context
            REQUEST_ID.set(request_id(scope["headers"]))
        await inner(scope, receive, send)

    return asgi_deploy


def request_id(headers) -> str | None:
    """Return the request's id, None if it has no acceptable one. The first counts; the proxy sends only one."""
    for name, value in headers:
        if name == HEADER:
            return value.decode("ascii") if acceptable(value) else None
    return None


def drains() -> None:
    """Say that this worker stops accepting, to what measures it."""
    if on_drain:
        on_drain()
