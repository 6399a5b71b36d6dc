"""The app that the worker serves in its tests: plain ASGI, so that any version of anything can run it.

The environment names three files: RELEASE says how this release boots, what waits at the GATE is answered once that
is there, and DONE is written by a background task.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

RELEASE = Path(os.environ["RELEASE"])
GATE = Path(os.environ["GATE"])
DONE = Path(os.environ["DONE"])
BOOTS = RELEASE.read_text()

match BOOTS:
    case "not":
        raise RuntimeError("this release does not import")
    case "crashes":
        os.kill(os.getpid(), signal.SIGKILL)
    case "slowly":
        time.sleep(1)
    case "hangs":
        time.sleep(600)


async def app(scope, receive, send):
    match scope["type"], scope.get("path"):
        case "lifespan", _:
            await lifespan(receive, send)
        case "websocket", _:
            await echo_messages(receive, send)
        case "http", "/echo":
            await answer(send, await body(receive))
        case "http", "/events":
            await stream(send, b"text/event-stream")
        case "http", "/download":
            await stream(send, b"text/csv")
        case "http", "/background":
            await answer(send, b"accepted")
            await asyncio.sleep(3)
            DONE.write_text("done")
        case "http", "/gate":
            while not GATE.exists():
                await asyncio.sleep(0.02)
            await answer(send, b"open")
        case "http", "/hang":
            hang()
        case "http", path if path.startswith("/items/"):
            scope["route"] = SimpleNamespace(path="/items/{id}")  # as Starlette's router does
            await answer(send, path.encode())
        case _:
            await answer(send, str(os.getpid()).encode())


def hang():
    """Block the event loop, and with it everything else in this process."""
    time.sleep(600)


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if BOOTS == "without its lifespan":
                await send({"type": "lifespan.startup.failed", "message": "this release does not start"})
                return
            if BOOTS == "with a lifespan that hangs":
                await asyncio.sleep(600)
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def body(receive):
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def answer(send, content):
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def stream(send, kind):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    while True:
        await send({"type": "http.response.body", "body": b"data: tick\n\n", "more_body": True})
        await asyncio.sleep(0.05)


async def echo_messages(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
