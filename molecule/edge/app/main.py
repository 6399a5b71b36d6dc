"""A small ASGI application that tells what reaches it, and when."""

from __future__ import annotations

import asyncio
import json

GIVEN_AWAY = b"what a page says, over and over. " * 200


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
    respond = {"/drip": drip, "/upload/slow": upload, "/upload": upload, "/text": text}.get(scope["path"], tell)
    await respond(scope, receive, send)


async def start(send, *headers, kind=b"application/json"):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind), *headers]})


async def tell(scope, receive, send):
    """Tell what the request was."""
    seen = {
        "path": scope["path"],
        "scheme": scope["scheme"],
        "client": scope["client"],
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
    }
    # what the site is to replace
    await start(send, (b"x-request-id", b"the app's"), (b"x-content-type-options", b"the app's"))
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def drip(scope, receive, send):
    """Send a first part, and the rest when the client has gone or after a while."""
    await start(send, kind=b"text/plain")
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await asyncio.sleep(2)
    await send({"type": "http.response.body", "body": b"last"})


async def upload(scope, receive, send):
    """Answer at the first part of a body, and say how much there was."""
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
    await send({"type": "http.response.body", "body": GIVEN_AWAY})
