"""Variables that the tests of results print in their playbooks."""

from __future__ import annotations

# The end of a measurement of tune, at the indentation of a variable of a play.
MEASUREMENTS = """\
      machine: {cpus: 2, memory_mb: 2048}
      measurements:
        - round: 0
          workers: 2
          throughput: 1000.0
          p50_ms: 5.0
          p99_ms: 20.0
          errors: {}
          cpu: {app: 1.2, nginx: 0.3, load: 0.3, machine: 1.9}
          worker_mb: 40
          slot_mb: 95
"""
