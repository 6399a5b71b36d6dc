"""An app that an attacker controls. It runs the Python code of a POST to /run, and returns the variable `result`.

A release may add `hostile.py`, which the app imports.
"""

import asyncio
import json
import traceback
from importlib.util import find_spec

if find_spec("hostile"):
    import hostile  # noqa: F401


def run(code: str) -> dict:
    names: dict = {}
    try:
        exec(code, names)  # noqa: S102
        return {"result": names.get("result")}
    except BaseException:  # noqa: BLE001
        return {"error": traceback.format_exc()}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/run":
        answer = await asyncio.to_thread(run, body.decode())
        text, kind = json.dumps(answer, default=repr).encode(), b"application/json"
    else:
        text, kind = b"fine", b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": text})
