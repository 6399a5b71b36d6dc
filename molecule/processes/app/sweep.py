"""The command of the timer `sweep`, which runs on all hosts."""

import time

from ledger import record
from variant import FAULT

record("begin", "sweep")
if FAULT == "timer hangs":
    time.sleep(3600)
record("end", "sweep")
