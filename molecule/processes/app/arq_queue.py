"""The worker of arq, a queue for asyncio."""

import asyncio
import os
from typing import ClassVar

from arq.connections import RedisSettings
from ledger import record


async def work(_context: dict, job: str, seconds: float) -> None:
    record("begin", job)
    await asyncio.sleep(seconds)
    record("end", job)


class Worker:
    functions: ClassVar = [work]
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    keep_result = 0
    poll_delay = 0.2
    # By default, arq cancels its jobs on SIGTERM, and executes them again later.
    job_completion_wait = 30
