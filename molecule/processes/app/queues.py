"""The Celery app: a queue that acknowledges each job before its execution, and one that acknowledges it after its execution.

Celery's default, `early`, executes a job at most once: a killed worker loses it. `late` executes it at least once: Redis delivers the job of a
killed worker again. With a warm shutdown, both execute each job exactly once.
"""

import fcntl
import os
import time

from celery import Celery, signals
from ledger import SHARED, record

app = Celery("queues", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.update(
    task_ignore_result=True,
    task_routes={"queues.late": {"queue": "late"}, "queues.*": {"queue": "early"}},
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=4,
    beat_schedule={"tick": {"task": "queues.tick", "schedule": 1.0}},
    beat_schedule_filename=str(SHARED / "beat-schedule"),
    beat_max_loop_interval=1,
)


def work(job: str, seconds: float) -> None:
    record("begin", job)
    time.sleep(seconds)
    record("end", job)


@app.task
def early(job: str, seconds: float) -> None:
    work(job, seconds)


@app.task(acks_late=True)
def late(job: str, seconds: float) -> None:
    work(job, seconds)


@app.task(bind=True)
def tick(self) -> None:
    work(self.request.id, 0)


@signals.worker_shutting_down.connect
def record_the_shutdown(**_details: object) -> None:
    record("shutdown", "worker")


@signals.beat_init.connect
def hold_the_lock(**_details: object) -> None:
    """Hold a lock until this process ends. The kernel releases it, so a second scheduler cannot escape detection."""
    global lock
    lock = (SHARED / "beat.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        record("overlap", "beat")
    record("start", "beat")


@signals.after_task_publish.connect(sender="queues.tick")
def count_the_tick(headers: dict, **_details: object) -> None:
    record("sent", headers["id"])
