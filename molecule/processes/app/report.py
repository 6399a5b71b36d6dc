"""The job of a timer of one host of the fleet."""

from ledger import record

record("begin", "report")
record("end", "report")
