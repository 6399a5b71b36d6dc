"""The app under load. It records every executed request, reports its release, and simulates faults.

Releases differ in the file ``variant.json`` in this directory: ``{"label": ..., "fault": ..., "boot": ...}``.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

HERE = Path(__file__).resolve().parent
VARIANT = json.loads((HERE / "variant.json").read_text()) if (HERE / "variant.json").exists() else {}
FAULT = VARIANT.get("fault", "")
# On a host, the code is in /srv/traffic/releases/<id>/code.
SERVING = f"{HERE.parent.name}:{os.environ.get('TRAFFIC_SETTING', '')}"
EVENT_SECONDS = 0.1
SHARED = Path(os.environ.get("ASGI_SHARED", "."))
# If this file exists, the next worker that stops exits with gunicorn's status of a failed boot.
EXIT = SHARED / "exit-with-3"

if FAULT == "import":
    raise RuntimeError("this release does not import")
if FAULT == "import in its slot" and "ASGI_SLOT" in os.environ:
    raise RuntimeError("this release does not import in its slot")


class ExecutedRequests:
    """The ids of the requests that this process has executed, one per line, written before the answer is sent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def add(self, ident: str) -> None:
        if self._descriptor is None:  # opened after the fork: one file for each process
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / str(os.getpid())
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        os.write(self._descriptor, f"{ident}\n".encode())


executed = ExecutedRequests(SHARED / "executed")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if FAULT == "lifespan":
        raise RuntimeError("this release does not start")
    if FAULT == "hang":
        await asyncio.Event().wait()
    await asyncio.sleep(VARIANT.get("boot", 0))
    yield
    with contextlib.suppress(FileNotFoundError):
        EXIT.unlink()  # succeeds in one worker only
        os._exit(3)


app = FastAPI(lifespan=lifespan)


@app.get("/sick" if FAULT == "no health" else "/health")
async def health() -> Response:
    if FAULT == "silent":
        await asyncio.Event().wait()
    if FAULT == "dies":
        os._exit(1)
    return PlainTextResponse("this release is not healthy", 500) if FAULT == "health" else PlainTextResponse("ok")


@app.get("/work")
async def read(id: str, seconds: float = 0) -> Response:
    return await work(id, seconds)


@app.post("/work")
async def write(request: Request, seconds: float = 0) -> Response:
    return await work((await request.body()).decode(), seconds)


async def work(ident: str, seconds: float) -> Response:
    if seconds:
        await asyncio.sleep(seconds)
    executed.add(ident)
    return PlainTextResponse(f"{ident} {SERVING}")


@app.get("/events")
async def events() -> StreamingResponse:
    """Send an endless stream of server-sent events."""

    async def stream() -> AsyncIterator[str]:
        number = 0
        while True:
            number += 1
            yield f"id: {number}\ndata: {SERVING}\n\n"
            await asyncio.sleep(EVENT_SECONDS)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@app.websocket("/ws")
async def websocket_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(f"{await websocket.receive_text()} {SERVING}")
    except WebSocketDisconnect:
        pass


if FAULT == "attribute":
    del app
