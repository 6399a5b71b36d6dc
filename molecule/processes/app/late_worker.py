"""A Celery worker with a unique name, so that a ping reaches the worker of this slot and not that of the other slot."""

import socket

from ledger import SLOT
from queues import app
from variant import FAULT

NAME = f"late-{SLOT}@{socket.gethostname()}"

if __name__ == "__main__":
    if FAULT == "worker does not start":
        raise SystemExit("this release has no settings for its worker")
    app.worker_main(["worker", "--hostname", NAME, "--queues", "late", "--concurrency", "2", "--loglevel", "WARNING"])
