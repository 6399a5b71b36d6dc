"""Ways in which a worker can end unexpectedly, and child processes that it can start."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import threading
import time

KEPT = []
LONG = 600


def end(how: str) -> None:
    """Try to end this process; *how* is, for example, ``exit 3``, ``signal 11``, ``thread 3`` or ``raise 3``."""
    manner, number = how.split()[0], int(how.split()[1])
    match manner:
        case "exit":
            os._exit(number)
        case "signal":
            os.kill(os.getpid(), number)
            time.sleep(LONG)
        case "thread":
            threading.Thread(target=os._exit, args=(number,)).start()
            time.sleep(LONG)
        case "raise":
            sys.exit(number)


def start(kind: str) -> None:
    """Start child processes of this *kind*, which outlive this process."""
    match kind:
        case "pool":
            pool = concurrent.futures.ProcessPoolExecutor(3, multiprocessing.get_context("fork"))
            KEPT.append((pool, list(pool.map(abs, range(3)))))
        case "session":
            fork(in_session=True)
        case "program":
            KEPT.append(subprocess.Popen(["sleep", str(LONG)], start_new_session=True))
        case "tree":
            KEPT.append(subprocess.Popen(["sh", "-c", f"setsid sh -c 'sleep {LONG}; true'; true"]))
        case "background":
            os.system(f"sleep {LONG} &")
        case "daemon":
            if not (child := os.fork()):
                fork(in_session=True)
                os._exit(0)
            os.waitpid(child, 0)


def fork(in_session: bool) -> None:
    if not os.fork():
        if in_session:
            os.setsid()
        time.sleep(LONG)
        os._exit(0)
