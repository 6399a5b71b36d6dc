"""A small FastAPI app that uses every feature of a deployment: HTTP, WebSocket, server-sent events, static files, logs.

Run it on your own machine with ``uvicorn main:app --reload``.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles

HERE = Path(__file__).resolve().parent
log = logging.getLogger("hello")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open shared resources, such as a database pool, before the first request, and close them after the last one."""
    # on a host, the code is in /srv/hello/releases/<id>/code
    app.state.release = HERE.parent.name if (HERE.parent / "release.json").exists() else "development"
    app.state.greeting = os.environ.get("HELLO_GREETING", "Hello")
    log.info("started release %s", app.state.release)
    yield
    log.info("stopped release %s", app.state.release)


app = FastAPI(title="hello", lifespan=lifespan)


@app.get("/")
async def hello(request: Request) -> dict[str, str]:
    return {"message": f"{request.app.state.greeting} from FastAPI", "release": request.app.state.release}


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer if this process can serve. A real app queries its database here, with a short timeout."""
    return {"status": "ok"}


@app.post("/echo")
async def echo(body: Annotated[Any, Body()]) -> Any:
    log.info("echoing a body of type %s", type(body).__name__)
    return body


@app.get("/whoami")
async def whoami(request: Request) -> dict[str, str | None]:
    """Return the client address, scheme and host that the app receives. Wrong values mean that proxy headers are not trusted."""
    return {
        "client": request.client.host if request.client else None,
        "scheme": request.url.scheme,
        "host": request.headers.get("host"),
    }


@app.get("/events")
async def events(count: int | None = None, interval: float = 1.0) -> StreamingResponse:
    """Send `count` server-sent events, or an endless stream of them."""

    async def stream() -> AsyncIterator[str]:
        number = 0
        while count is None or number < count:
            number += 1
            yield f"id: {number}\ndata: event {number}\n\n"
            if number != count:
                await asyncio.sleep(interval)

    # with this header, nginx does not buffer the events
    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@app.websocket("/ws")
async def websocket_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


# for `uvicorn --reload`; on a host, nginx serves these files
app.mount("/static", StaticFiles(directory=HERE / "static"))
