# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""ASGI middleware that records the id of the current request for the log, and measures requests if metrics are enabled.

It wraps the application in every ASGI server and passes all messages on unchanged.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

REQUEST_ID = ContextVar("asgi_deploy_request_id", default=None)
"""The id of the current request, for the log; None outside of a request."""

HEADER = b"x-request-id"
# The format of the proxy's ids. Other clients could send anything.
acceptable = re.compile(rb"[0-9A-Za-z._-]{8,128}").fullmatch

measure = None
"""Additional middleware, which asgi_deploy_metrics sets in a worker with metrics."""

on_drain = None
"""Called when the worker stops accepting; set like ``measure``."""


def wrapped(app):
    """Return the ASGI 3 application *app* with the middleware."""
    inner = app
    if measure:
        try:
            inner = measure(app)
        except Exception as exc:  # noqa: BLE001 - the worker serves without metrics
            logging.getLogger("gunicorn.error").warning("This worker serves without metrics: %r", exc)

    async def asgi_deploy(scope, receive, send):
        if scope["type"] != "lifespan":
            # Set None too: a server may handle all requests of a connection in one context, where an earlier id would remain.
            REQUEST_ID.set(request_id(scope["headers"]))
        await inner(scope, receive, send)

    return asgi_deploy


def request_id(headers) -> str | None:
    """Return the first request id in *headers*, None if it is missing or malformed. The proxy sends only one."""
    for name, value in headers:
        if name == HEADER:
            return value.decode("ascii") if acceptable(value) else None
    return None


def drains() -> None:
    """Notify the metrics that this worker stops accepting."""
    if on_drain:
        on_drain()
