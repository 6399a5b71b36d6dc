#!/usr/bin/env python
"""Write docs/workers.md: what the worker plan gives on machines of many shapes, beside the formulas of the tutorials.

Run it in the checkout's virtual environment, as `PYTHONPATH=.collections tools/worker_table.py`; a unit test says whether
the file is up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import worker_plan

TARGET = Path(__file__).resolve().parents[1] / "docs" / "workers.md"
GIB = 1024

# what asgi_server passes on by default
DEFAULTS = {"minimum": 2, "worker_memory": 128, "reserved_memory": 256, "app": "shop"}


class Machine(NamedTuple):
    """A machine, and what the inventory says beyond the defaults. Memory in MiB."""

    text: str
    cpus: int
    memory: int
    facts: dict[str, Any]
    options: dict[str, Any]

    def plan(self):
        facts = {"processor_nproc": self.cpus, "memtotal_mb": self.memory, **self.facts}
        return worker_plan(facts, **{**DEFAULTS, **self.options})


MACHINES = [
    Machine("the smallest virtual machine: 1 CPU, 512 MiB", 1, 512, {}, {}),
    Machine("1 CPU, 1 GiB", 1, GIB, {}, {}),
    Machine("2 CPUs, 2 GiB", 2, 2 * GIB, {}, {}),
    Machine("2 CPUs, 2 GiB, three apps", 2, 2 * GIB, {"apps": [{"name": "a"}, {"name": "b"}, {"name": "shop"}]}, {}),
    Machine("4 CPUs, 8 GiB", 4, 8 * GIB, {}, {}),
    Machine("4 CPUs, 8 GiB, workers of 1200 MiB (a model in memory)", 4, 8 * GIB, {}, {"worker_memory": 1200}),
    Machine("4 CPUs, 8 GiB, synchronous workers", 4, 8 * GIB, {}, {"kind": "sync"}),
    Machine(
        "8 CPUs, 16 GiB, `CPUQuota=150%`, `MemoryMax=1G`", 8, 16 * GIB, {}, {"cpu_quota": "150%", "memory_max": "1G"}
    ),
    Machine(
        "a container: 2 CPUs and 1 GiB of a machine with 64 CPUs and 256 GiB",
        64,
        256 * GIB,
        {"cgroup_cpus": 2.0, "cgroup_memory_mb": GIB},
        {},
    ),
    Machine(
        "16 CPUs, 8 GiB, five apps",
        16,
        8 * GIB,
        {"apps": [{"name": name} for name in ("a", "b", "c", "d", "shop")]},
        {},
    ),
    Machine("64 CPUs, 256 GiB, no more than 32 workers", 64, 256 * GIB, {}, {"maximum": 32}),
    Machine("128 CPUs, 1 TiB", 128, 1024 * GIB, {}, {}),
]

HEADER = """\
<!-- Made by tools/worker_table.py; change that instead. -->
# How many workers

`asgi_server_workers: auto` takes what a host has into account, not only its CPUs. The number and its reason are in the
slot's `gunicorn.conf.py`, in the diff of a deploy, and in `status.yml`; `doctor.yml` says where they differ.

What the plan of this collection gives with its defaults (128 MiB for a worker, 256 MiB for the system, at least 2 workers),
beside the formulas of the tutorials, which count the CPUs that are built in. In brackets: the memory in MiB that those
workers take while a deploy runs two slots of them, where that is more than the app may have.

| machine | n + 1 | 2n + 1 | workers | because |
|---|---|---|---|---|
"""

FOOTER = """
## What counts

- **CPUs**: those that are online and that services may run on (affinity), the quotas of control groups of version 1 and 2
  (of a container, of `system.slice`, of the app's own slice), `CPUQuota`, `CPUAffinity` and `AllowedCPUs` of the unit. The
  smallest counts, and a part of a CPU counts as one.
- **Memory**: that of the host or the limit of its control group, less `asgi_server_reserved_memory`, in equal shares for the
  apps that are staged on the host (or `asgi_server_memory_share`), for two slots, as both run during a deploy; in each a
  master of 32 MiB. `MemoryMax` and `MemoryHigh` hold for each slot.
- **Other apps** share the memory, which an idle worker takes as well, and not the CPUs, which it does not.
- `asgi_server_workers_min` wins over the memory, a number in `asgi_server_workers` over everything.

The plan is the same in each run on the same host: memory is rounded down by up to 3 %, so that another kernel is no other
plan, and how much other apps really use is not asked. An app that is staged on a host for the first time changes the
share of the others; their next deploy activates what comes of it. On a machine whose memory grows and shrinks while it runs
(ballooning), give a number.

Sources: gunicorn's documentation ("Design", settings `workers` and `threads`), uvicorn's ("Deployment"), the kernel's
("Control Group v2", "CFS Bandwidth Control", "Memory Resource Controller"), systemd.resource-control(5),
sched_setaffinity(2), proc_pid_smaps(5).
"""


def row(machine: Machine) -> str:
    plan = machine.plan()
    _number, _equals, because = plan.reason.partition(" = ")
    formulas = [_formula(number, plan) for number in (machine.cpus + 1, 2 * machine.cpus + 1)]
    return f"| {machine.text} | {formulas[0]} | {formulas[1]} | **{plan.workers}** | {because} |\n"


def _formula(number: int, plan) -> str:
    return str(number) if number <= plan.by_memory else f"{number} ({2 * number * plan.worker_memory})"


def page() -> str:
    return HEADER + "".join(map(row, MACHINES)) + FOOTER


if __name__ == "__main__":
    TARGET.write_text(page())
