"""What `make bench-tune` measures: an app that does as WORK says for each request."""

from __future__ import annotations

import asyncio
import os
import time

from fastapi import FastAPI

WAIT_SECONDS = 0.020
CPU_SECONDS = 0.005

app = FastAPI()
answer = {"hello": "world"}


async def wait() -> None:
    """Wait as for a database."""
    await asyncio.sleep(WAIT_SECONDS)


async def compute() -> None:
    """Take the CPU, and with it the event loop."""
    end = time.thread_time() + CPU_SECONDS
    while time.thread_time() < end:
        pass


async def nothing() -> None:
    """Answer at once."""


work = {"tiny": nothing, "wait": wait, "cpu": compute}[os.environ["WORK"]]


@app.get("/")
async def root() -> dict[str, str]:
    await work()
    return answer


@app.get("/health")
async def health() -> dict[str, str]:
    return answer
