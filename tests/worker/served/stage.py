"""The app of the worker tests. It is plain ASGI, so that it runs with every version of every server.

The environment contains the paths of three files: RELEASE states how this release boots, /gate answers when GATE exists,
and a background task writes DONE.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import mishaps

RELEASE = Path(os.environ["RELEASE"])
GATE = Path(os.environ["GATE"])
DONE = Path(os.environ["DONE"])
BOOTS = RELEASE.read_text()

match BOOTS:
    case "not":
        raise RuntimeError("this release does not import")
    case "crashes":
        os.kill(os.getpid(), signal.SIGKILL)
    case how if how.startswith("ends with "):
        mishaps.end(how.removeprefix("ends with "))
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
        case "http", "/end":
            mishaps.end((await body(receive)).decode())
        case "http", "/start":
            mishaps.start((await body(receive)).decode())
            await answer(send, b"started")
        case "http", path if path.endswith("/root-path"):
            await answer(send, scope["root_path"].encode())
        case "http", path if path.startswith("/items/"):
            scope["route"] = SimpleNamespace(path="/items/{id}")  # as Starlette's router does
            await answer(send, path.encode())
        case _:
            await answer(send, str(os.getpid()).encode())


def hang():
    """Block the event loop."""
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
