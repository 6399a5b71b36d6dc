"""A small ASGI application that returns the requests it receives."""

from __future__ import annotations

import asyncio
import json

TEXT = b"a text that is repeated many times. " * 200


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    respond = {"/drip": drip, "/upload/slow": upload, "/upload": upload, "/text": text}.get(scope["path"], describe)
    await respond(scope, receive, send)


async def start(send, *headers, kind=b"application/json"):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), *headers]})


async def describe(scope, receive, send):
    """Return the request as JSON."""
    request = {
        "path": scope["path"],
        "scheme": scope["scheme"],
        "client": scope["client"],
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
    }
    # The site must replace these.
    await start(send, (b"x-request-id", b"the app's"), (b"x-content-type-options", b"the app's"))
    await send({"type": "http.response.body", "body": json.dumps(request).encode()})


async def drip(scope, receive, send):
    """Send a first part, and the rest after two seconds."""
    await start(send, kind=b"text/plain")
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await asyncio.sleep(2)
    await send({"type": "http.response.body", "body": b"last"})


async def upload(scope, receive, send):
    """Read the body, or only its first part, and return its size."""
    message = await receive()
    size, parts = len(message["body"]), 1
    if scope["path"] == "/upload":
        while message.get("more_body"):
            message = await receive()
            size, parts = size + len(message["body"]), parts + 1
    await start(send)
    await send({"type": "http.response.body", "body": json.dumps({"size": size, "parts": parts}).encode()})


async def text(scope, receive, send):
    await start(send, kind=b"text/plain")
    await send({"type": "http.response.body", "body": TEXT})
