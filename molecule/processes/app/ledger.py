"""Records what the processes of the app do, in files that outlive them. tests/processes/counting.py reads them.

A line has the event, its subject, the release and the slot of the process, its process id and the time.
"""

import os
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# On a host, the code is in /srv/<app>/releases/<id>/code.
RELEASE = HERE.parent.name
SLOT = os.environ.get("ASGI_SLOT", "-")
SHARED = Path(os.environ.get("ASGI_SHARED", "."))
LEDGER = SHARED / "ledger"


def record(event: str, subject: str) -> None:
    """Append an event. O_APPEND keeps the lines of concurrent writers apart, and the line survives the death of the process."""
    LEDGER.mkdir(exist_ok=True)
    line = f"{event} {subject} {RELEASE} {SLOT} {os.getpid()} {time.time():.3f}\n"
    file = os.open(LEDGER / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
