"""The on_failure command of a timer."""

from ledger import record

record("alarm", "sweep")
