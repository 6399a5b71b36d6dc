# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""ASGI middleware that records the id of the current request for the log.

If they are enabled, it also measures requests and limits their number. It wraps the application in every ASGI server and passes all
messages on unchanged.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

REQUEST_ID = ContextVar("asgi_deploy_request_id", default=None)
"""The id of the current request, for the log; None outside of a request."""

HEADER = b"x-request-id"
# The path that the proxy has removed from the request (asgi_proxy_path); in WSGI's spelling below.
ROOT_PATH = b"x-asgi-root-path"
SCRIPT_NAME = "HTTP_X_ASGI_ROOT_PATH"
# The format of the proxy's ids. Other clients could send anything.
acceptable = re.compile(rb"[0-9A-Za-z._-]{8,128}").fullmatch

measure = None
"""Additional middleware, which asgi_deploy_metrics sets in a worker with metrics."""

on_drain = None
"""Called when the worker stops accepting; set like ``measure``."""

on_reject = None
"""Called for each request that limit_concurrency() rejects; set like ``measure``."""

RETRY_AFTER_SECONDS = 1

_limit: tuple[int, str] | None = None
_root_path: str | None = None


def accept_root_path(path: str) -> None:
    """Accept the header ROOT_PATH of requests only if its value is *path* (asgi_proxy_path).

    A site that passes the header on, such as one of an earlier version, would otherwise let clients choose the path that the app sees.
    """
    global _root_path
    _root_path = path


def limit_concurrency(most: int, except_path: str) -> None:
    """Let each worker handle at most *most* requests and WebSockets at a time, and answer further ones with 503.

    uvicorn's own limit also counts idle connections, of which the proxy keeps many. Requests to *except_path*, the health check, are not
    limited, because a busy worker is healthy.
    """
    global _limit
    _limit = most, except_path


def wrapped(app):
    """Return the ASGI 3 application *app* with the middleware."""
    inner = limited(app, *_limit) if _limit else app
    if measure:
        try:
            inner = measure(inner)
        except Exception as exc:  # noqa: BLE001 - the worker serves without metrics
            logging.getLogger("gunicorn.error").warning("This worker serves without metrics: %r", exc)

    async def asgi_deploy(scope, receive, send):
        if scope["type"] != "lifespan":
            scope = below_root_path(scope)
            # Set None too: a server may handle all requests of a connection in one context, where an earlier id would remain.
            REQUEST_ID.set(request_id(scope["headers"]))
        await inner(scope, receive, send)

    return asgi_deploy


def below_root_path(scope):
    """Return *scope* as the ASGI specification requires it if the proxy has removed a path from the request: with the path, and as root_path.

    Requests that do not come from the proxy, such as health checks of the slot, do not have the header.
    """
    if not _root_path or [value for name, value in scope["headers"] if name == ROOT_PATH] != [_root_path.encode()]:
        return scope
    found = {**scope, "root_path": _root_path + scope.get("root_path", ""), "path": _root_path + scope["path"]}
    if scope.get("raw_path") is not None:
        found["raw_path"] = _root_path.encode() + scope["raw_path"]
    return found


def with_script_name(app):
    """Return the WSGI application *app*, with the path that the proxy has removed from the request as SCRIPT_NAME."""

    def asgi_deploy(environ, start_response):
        if _root_path and environ.get(SCRIPT_NAME) == _root_path:
            environ["SCRIPT_NAME"] = _root_path + environ.get("SCRIPT_NAME", "")
        return app(environ, start_response)

    return asgi_deploy


def limited(app, most: int, except_path: str):
    """Return *app* with a limit of *most* concurrent requests and WebSockets."""
    in_progress = 0

    async def asgi_deploy_limit(scope, receive, send):
        nonlocal in_progress
        if scope["type"] == "lifespan" or scope["path"][len(scope.get("root_path", "")) :] == except_path:
            await app(scope, receive, send)
        elif in_progress >= most:
            if on_reject:
                on_reject()
            await reject(scope, send)
        else:
            in_progress += 1
            try:
                await app(scope, receive, send)
            finally:
                in_progress -= 1

    return asgi_deploy_limit


async def reject(scope, send) -> None:
    """Answer a request or the handshake of a WebSocket with 503."""
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1013})  # the server answers with 403
            return
        prefix = "websocket."
    body = b"Service Unavailable"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
    ]
    await send({"type": f"{prefix}http.response.start", "status": 503, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})


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
