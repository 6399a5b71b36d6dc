"""An app that runs the program of a package in its sandbox: GET /try/<package>. The workers survive a program that aborts."""

import asyncio
import json
import sys
import textwrap

from packages import PACKAGES

# Less than nginx waits for a response.
SECONDS = 50


async def attempt(name: str) -> dict:
    program = textwrap.dedent(PACKAGES[name].program)
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", program, **pipes)
    try:
        output, _none = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        return {"status": None, "output": f"not finished after {SECONDS} s"}
    text = output.decode(errors="replace")
    return {"status": process.returncode, "output": text if len(text) < 4000 else f"{text[:2000]}\n...\n{text[-2000:]}"}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    name = scope["path"].removeprefix("/try/")
    answer = await attempt(name) if name in PACKAGES else sorted(PACKAGES)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
