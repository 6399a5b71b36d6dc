"""The command for a failed timer."""

from ledger import record

record("alarm", "sweep")
