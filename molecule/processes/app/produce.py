"""Enqueue jobs at a constant rate until a number of jobs is reached or a file appears, and record each job that a queue has accepted.

Each job has a unique id. Most jobs are short; every eighth one takes long enough that a shutdown finds some in progress.
"""

import argparse
import asyncio
import time
from pathlib import Path

from arq import create_pool
from arq_queue import Worker
from ledger import record
from queues import early, late

SLOW_EVERY, SLOW_SECONDS, SHORT_SECONDS = 8, 0.4, 0.002


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the prefix of the job ids")
    parser.add_argument("--rate", type=float, required=True, help="jobs per second")
    parser.add_argument("--jobs", type=int, default=10**9)
    parser.add_argument("--until", type=Path, required=True, help="stop if this file exists")
    parser.add_argument("--queues", nargs="+", choices=["early", "late", "arq"], default=["early", "late", "arq"])
    arguments = parser.parse_args()

    pool = await create_pool(Worker.redis_settings)
    queues = {
        "early": lambda *job: early.apply_async(job),
        "late": lambda *job: late.apply_async(job),
        "arq": lambda *job: pool.enqueue_job("work", *job),
    }
    began = time.monotonic()
    for number in range(arguments.jobs):
        if number % 10 == 0 and arguments.until.exists():
            break
        queue = arguments.queues[number % len(arguments.queues)]
        round_ = number // len(arguments.queues)
        seconds = SLOW_SECONDS if round_ % SLOW_EVERY == 0 else SHORT_SECONDS
        job = f"{arguments.run}:{queue}:{number}"
        accepted = queues[queue](job, seconds)
        if queue == "arq":
            await accepted
        record("sent", job)
        await asyncio.sleep(began + (number + 1) / arguments.rate - time.monotonic())


if __name__ == "__main__":
    asyncio.run(main())
