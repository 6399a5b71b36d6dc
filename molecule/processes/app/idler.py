"""An idle process, with the fault that its release configures."""

import signal
import time

from ledger import SLOT
from variant import DIES_AFTER, FAULT

if FAULT == "worker ignores SIGTERM":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if FAULT == "worker dies in a loop":
    time.sleep(DIES_AFTER)
    raise SystemExit(f"the worker of slot {SLOT} lost its connection")
while True:
    time.sleep(3600)
