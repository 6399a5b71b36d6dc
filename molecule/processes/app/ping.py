"""The readiness check of `late`: exit with 0 if the worker of this slot answers."""

from late_worker import NAME
from queues import app

raise SystemExit(0 if app.control.ping([NAME], timeout=2) else f"{NAME} does not answer")
