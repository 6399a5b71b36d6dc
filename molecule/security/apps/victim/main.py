"""An app with secrets in its environment, in shared/ and in memory."""

import asyncio
import os
from pathlib import Path

DATA = Path(os.environ.get("ASGI_SHARED", ".")) / "canary-of-the-data.txt"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await asyncio.to_thread(DATA.write_text, "canary-of-the-data")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"fine"})
