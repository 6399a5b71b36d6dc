"""A small FastAPI application with one of everything that a deployment must carry: copy what you need.

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
    """Open what every request needs (a database pool, say) before the first one, and close it after the last."""
    # deployed, the code is /srv/hello/releases/<id>/code
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
    """Answer as long as this process can serve. A real app asks its database here, with a short timeout."""
    return {"status": "ok"}


@app.post("/echo")
async def echo(body: Annotated[Any, Body()]) -> Any:
    log.info("echoing a body of type %s", type(body).__name__)
    return body


@app.get("/whoami")
async def whoami(request: Request) -> dict[str, str | None]:
    """Tell what reaches the app through the proxy: a wrong scheme or address here means untrusted proxy headers."""
    return {
        "client": request.client.host if request.client else None,
        "scheme": request.url.scheme,
        "host": request.headers.get("host"),
    }


@app.get("/events")
async def events(count: int | None = None, interval: float = 1.0) -> StreamingResponse:
    """Send server-sent events: `count` of them, or without end."""

    async def stream() -> AsyncIterator[str]:
        number = 0
        while count is None or number < count:
            number += 1
            yield f"id: {number}\ndata: event {number}\n\n"
            if number != count:
                await asyncio.sleep(interval)

    # the header tells nginx to pass each event on as it comes
    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@app.websocket("/ws")
async def websocket_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


# nginx serves these files when deployed and the app never sees the request; this line is for `uvicorn --reload`
app.mount("/static", StaticFiles(directory=HERE / "static"))
