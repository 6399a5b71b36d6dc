# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the number of workers of a host.

Sources:

- gunicorn's documentation, "Design", "How Many Workers?": 2 x CPUs + 1 for workers that handle one request each. The settings
  reference recommends trying 2 to 4 x CPUs, for processes and for threads.
- uvicorn's documentation, "Deployment" and "Settings": processes use several CPUs, the event loop waits for I/O.
- The kernel's documentation, "Control Group v2": ``cpu.max``, ``memory.high``, ``memory.max``, ``cpuset.cpus.effective``;
  "CFS Bandwidth Control" and "Memory Resource Controller" for version 1. sched_setaffinity(2).
- systemd.resource-control(5): ``CPUQuota=``, ``AllowedCPUs=``, ``MemoryHigh=``, ``MemoryMax=``; systemd.exec(5):
  ``CPUAffinity=``. They apply to one unit, which is one slot.
- proc_pid_smaps(5): Pss, the memory of a process with its share of the pages that forked processes share.

A plan depends only on the inventory and on facts that are the same in each run, because a different plan is a different configuration,
which the run would activate. Therefore the plan does not use the free memory, but rounds the total memory and divides it by the number of
apps. The measured memory of a worker is stored in the live configuration (plan.json).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import cpu_list
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.processes import process_memory
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole

# CPUs + 1 keeps every CPU busy while a worker waits or is being replaced. An asynchronous worker handles many requests at once, so
# more workers would only use memory. The same holds for threads, because the interpreter's lock limits a process to one CPU.
# Synchronous workers handle one request each.
FORMULAS = {
    "async": (lambda cpus: cpus + 1, "{cpus} + 1"),
    "threads": (lambda cpus: cpus + 1, "{cpus} + 1"),
    "sync": (lambda cpus: 2 * cpus + 1, "2 x {cpus} + 1"),
}
# A server that always has a single process.
SINGLE = "single"
SINGLE_REASON = "the only process of its server"
KINDS = (*FORMULAS, SINGLE)

SLOTS_DURING_A_DEPLOY = 2

# MiB of gunicorn's master process, which does not import the app.
MASTER_MEMORY = 32

# MiB of a worker that has not been measured. A measured value is multiplied by HEADROOM and rounded up to MEASURED_STEP.
UNMEASURED = 128
HEADROOM = 1.25
MEASURED_STEP = 32

SIZES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


@dataclass(frozen=True)
class WorkerPlan:
    """The number of workers and its derivation. Memory is in MiB."""

    workers: int
    reason: str
    kind: str
    cpus: int
    by_cpu: int
    by_memory: int | None
    worker_memory: int | None


class Cpus(NamedTuple):
    """The number of CPUs that the workers can use, and its text in the reason."""

    count: int
    text: str


class Room(NamedTuple):
    """The number of workers that fit into a memory limit, and the limit's text in the reason."""

    workers: int
    text: str


def cpu_count(facts: dict[str, Any]) -> int:
    """Return the number of CPUs in *facts* that processes can use.

    ``processor_nproc`` respects the CPU affinity; the other facts count all CPUs. Raises ValueError if the facts contain none of
    them, instead of counting the controller's CPUs.
    """
    for name in ("processor_nproc", "processor_vcpus", "processor_count"):
        if isinstance(facts.get(name), int) and facts[name] > 0:
            return facts[name]
    raise ValueError(
        "the facts contain no CPU count (processor_nproc): gather the subset 'hardware', or set asgi_server_workers to a number"
    )


def worker_plan(
    facts: dict[str, Any],
    workers: int | str = "auto",
    kind: str = "async",
    minimum: int = 1,
    maximum: int | None = None,
    worker_memory: int | str | None = None,
    reserved_memory: int = 0,
    memory_share: int | None = None,
    cpu_quota: str | None = None,
    memory_max: str | None = None,
    unit_settings: dict[str, Any] | None = None,
    app: str | None = None,
    processes: Mapping[str, Mapping] | None = None,
) -> WorkerPlan:
    """Return the plan for the host with these *facts*.

    The kind ``single`` always has 1 worker. Otherwise, an explicit number of *workers* takes precedence. ``auto`` applies the formula of the
    *kind*, and limits the result by memory, by *maximum* and finally by *minimum*. Each worker needs *worker_memory* MiB in both slots;
    *reserved_memory* MiB are for the system, and the apps of the host share the rest, which also contains the app's background *processes*. The
    other parameters are limits of the unit. Raises ValueError for invalid values.
    """
    _check(workers, kind, minimum, maximum, worker_memory, memory_share)
    counted = _worker_memory(facts, worker_memory, app)
    if kind == SINGLE:
        return WorkerPlan(1, f"1 = {SINGLE_REASON}", kind, 0, 1, None, counted)
    if workers != "auto":
        number = int(workers)
        return WorkerPlan(number, f"{number} = set explicitly", kind, 0, number, None, counted)

    settings = unit_settings or {}
    cpus = _cpus(facts, settings.get("CPUQuota", cpu_quota), settings)
    formula, text = FORMULAS[kind]
    by_cpu, cpu_text = formula(cpus.count), text.format(cpus=cpus.text)

    room = None
    if counted is not None:
        limits = [settings.get("MemoryMax", memory_max), settings.get("MemoryHigh")]
        beside = process_memory(processes or {}, lambda limit: size(limit, facts.get("memtotal_mb") or 0))
        rooms = _rooms(facts, counted, reserved_memory, memory_share, limits, app, beside)
        room = min(rooms, key=lambda room: room.workers)
    number, reason = _decide(by_cpu, cpu_text, room, minimum, maximum)
    return WorkerPlan(number, f"{number} = {reason}", kind, cpus.count, by_cpu, room.workers if room else None, counted)


def as_dict(plan: WorkerPlan) -> dict[str, Any]:
    return asdict(plan)


def _check(workers, kind, minimum, maximum, worker_memory, memory_share):
    if isinstance(workers, bool) or not isinstance(workers, (int, str)):
        raise ValueError(f"workers is {workers!r}; it must be 'auto' or a number")
    if isinstance(workers, str) and workers != "auto" and whole(workers) is None:
        raise ValueError(f"workers is {workers!r}; it must be 'auto' or a number")
    if workers != "auto" and int(workers) < 1:
        raise ValueError(f"workers is {workers!r}; at least one worker must run")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(sorted(KINDS))}")
    if minimum < 1:
        raise ValueError(f"minimum is {minimum}; at least one worker must run")
    if maximum is not None and maximum < minimum:
        raise ValueError(f"maximum is {maximum}, less than the minimum of {minimum}")
    if isinstance(worker_memory, str) and worker_memory != "measured" and whole(worker_memory) is None:
        raise ValueError(f"worker_memory is {worker_memory!r}; it must be a number of MiB, or 'measured'")
    if worker_memory not in (None, "measured") and int(worker_memory) < 1:
        raise ValueError(f"worker_memory is {worker_memory}; a worker takes at least 1 MiB")
    if memory_share is not None and not 1 <= memory_share <= 100:
        raise ValueError(f"memory_share is {memory_share}; it must be a percentage from 1 to 100")


def _decide(by_cpu: int, cpu_text: str, room: Room | None, minimum: int, maximum: int | None) -> tuple[int, str]:
    """Return the number of workers and the reason."""
    would_be = f"{cpu_text} would be {by_cpu}"
    allowed = f"; memory would allow {room.workers}" if room else ""
    number, reason = by_cpu, f"{cpu_text}{allowed}"
    if room and room.workers < number:
        number, reason = room.workers, f"what memory allows ({room.text}); {would_be}"
    if maximum is not None and maximum < number:
        return maximum, f"the maximum; {would_be}{allowed}"
    if number < minimum:
        return minimum, f"the minimum; {would_be}{allowed}"
    return number, reason


# ---- CPUs


def _cpus(facts: dict[str, Any], quota: str | int | None, settings: dict[str, Any]) -> Cpus:
    """Return the CPUs within the lowest limit, rounded up, because a fraction of a CPU needs a worker too."""
    present = cpu_count(facts)
    limits = [(float(present), "")]
    for name in ("CPUAffinity", "AllowedCPUs"):
        allowed = len(cpu_list(_text(settings.get(name, ""))))
        if allowed:
            limits.append((float(allowed), f"{name}={_text(settings[name])}"))
    if facts.get("cgroup_cpus"):
        limits.append((facts["cgroup_cpus"], f"a control group's limit of {facts['cgroup_cpus']:g}"))
    percent = str(quota or "").rstrip("%")
    if whole(percent):
        limits.append((int(percent) / 100, f"CPUQuota={percent}%"))

    usable, why = min(limits, key=lambda limit: limit[0])
    count = max(math.ceil(usable), 1)
    if not why:
        return Cpus(count, f"{count} CPU" if count == 1 else f"{count} CPUs")
    return Cpus(count, f"{count} of {present} {'CPU' if present == 1 else 'CPUs'} ({why})")


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


# ---- memory


def _rooms(
    facts: dict[str, Any],
    counted: int,
    reserved: int,
    share: int | None,
    limits: list[str | None],
    app: str | None,
    beside: int,
) -> Iterator[Room]:
    """Yield the number of workers for each memory limit."""
    total = facts.get("memtotal_mb")
    if not isinstance(total, int):
        raise ValueError("the facts contain no memtotal_mb: gather the subset 'hardware', or set no worker memory")
    if facts.get("cgroup_memory_mb"):
        total = min(total, facts["cgroup_memory_mb"])
    total = rounded(total)
    left = max(total - reserved, 0)
    text = f"{total} MiB" + (f" less {reserved} for the system" if reserved else "")
    apps = 1 + sum(other["name"] != app for other in facts.get("apps") or [])
    if share is not None:
        left, text = left * share // 100, f"{share} % of {text}"
    elif apps > 1:
        left, text = left // apps, f"{text}, shared by {apps} apps"
    if beside:
        left, text = max(left - beside, 0), f"{text}, less {beside} for processes"
    yield _room(left, counted, SLOTS_DURING_A_DEPLOY, text)

    if facts.get("cgroup_app_memory_mb"):
        limit = facts["cgroup_app_memory_mb"]
        yield _room(limit, counted, SLOTS_DURING_A_DEPLOY, f"{limit} MiB in the app's control group")
    for limit in limits:
        own = size(limit, facts["memtotal_mb"])
        if own is not None:
            yield _room(own, counted, 1, f"{own} MiB of the unit's own limit")


def _room(available: int, counted: int, slots: int, text: str) -> Room:
    for_workers = available - slots * MASTER_MEMORY
    each = f"{counted} MiB a worker"
    return Room(max(for_workers // (slots * counted), 0), f"{text}, {each}{' in two slots' if slots > 1 else ''}")


def rounded(mebibytes: int) -> int:
    """Return *mebibytes* rounded down by up to 3 %, so that a kernel that reserves a little more does not change the plan."""
    step = 1 << max(mebibytes.bit_length() - 6, 0)
    return mebibytes // step * step


def size(value: Any, total: int) -> int | None:
    """Parse a size in the format of systemd into MiB; None for no limit."""
    text = str(value or "").strip()
    if text.endswith("%") and whole(text[:-1]) is not None:
        return total * int(text[:-1]) // 100
    number, unit = (text[:-1], text[-1]) if text[-1:] in SIZES else (text, None)
    if whole(number) is None:
        return None  # "infinity" or unset
    return int(int(number) * SIZES[unit]) if unit else int(number) >> 20


def _worker_memory(facts: dict[str, Any], given: int | str | None, app: str | None) -> int | None:
    """Return the MiB to reserve for one worker.

    The result of a measurement is never lower than the value in the live configuration: workers grow while they serve, so new workers use
    less memory than they will need.
    """
    if given != "measured":
        return None if given is None else int(given)
    counted = next((each["worker_memory"] for each in facts.get("apps") or [] if each["name"] == app), None)
    counted = max(counted or 0, UNMEASURED)
    measured = facts.get("measured_memory_mb") or 0
    return counted if measured <= counted else suggested_memory(measured)


def suggested_memory(measured: int) -> int:
    """Return the MiB to reserve for a worker; *measured* is the size of the largest one."""
    return math.ceil(measured * HEADROOM / MEASURED_STEP) * MEASURED_STEP
