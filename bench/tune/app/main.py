"""The app that `make bench-tune` measures. WORK selects the work of each request."""

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
    """Wait, like an app that queries a database."""
    await asyncio.sleep(WAIT_SECONDS)


async def compute() -> None:
    """Use the CPU and block the event loop."""
    end = time.thread_time() + CPU_SECONDS
    while time.thread_time() < end:
        pass


async def nothing() -> None:
    """Do nothing."""


work = {"tiny": nothing, "wait": wait, "cpu": compute}[os.environ["WORK"]]


@app.get("/")
async def root() -> dict[str, str]:
    await work()
    return answer


@app.get("/health")
async def health() -> dict[str, str]:
    return answer
