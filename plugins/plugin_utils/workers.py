# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many workers a host should run, and why.

Sources:

- gunicorn's documentation, "Design", "How Many Workers?": 2 x CPUs + 1 for workers that serve one request each, so that
  one has the CPU while another has the socket; its settings reference gives 2 to 4 x CPUs as the range to try, for
  processes and for threads.
- uvicorn's documentation, "Deployment" and "Settings": processes are for CPUs, the event loop is for waiting.
- The kernel's documentation, "Control Group v2": ``cpu.max``, ``memory.high``, ``memory.max``, ``cpuset.cpus.effective``;
  "CFS Bandwidth Control" and "Memory Resource Controller" for version 1. sched_setaffinity(2).
- systemd.resource-control(5): ``CPUQuota=``, ``AllowedCPUs=``, ``MemoryHigh=``, ``MemoryMax=``; systemd.exec(5):
  ``CPUAffinity=``. They hold for one unit, which is one slot.
- proc_pid_smaps(5): Pss, a process's memory with its share of what forked siblings have in common.

A plan is a function of what the inventory says and of facts that stay the same from one run to the next, because
another plan is another configuration, which would be activated. So memory is rounded, what other apps take is not
measured but shared out by their number, and a measured worker is remembered in the live configuration (plan.json).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.capacity import cpu_list

# One more than there are CPUs keeps every CPU busy while a worker waits or is being replaced; an asynchronous worker
# serves many requests at once, so more than that only takes memory. Threads wait in the place of an event loop, and
# the interpreter's lock leaves a process one CPU all the same. Synchronous workers serve one request each.
FORMULAS = {
    "async": (lambda cpus: cpus + 1, "{cpus} + 1"),
    "threads": (lambda cpus: cpus + 1, "{cpus} + 1"),
    "sync": (lambda cpus: 2 * cpus + 1, "2 x {cpus} + 1"),
}
# A server that is a single process, whatever the host has and the inventory says.
SINGLE = "single"
SINGLE_REASON = "the only process of its server"
KINDS = (*FORMULAS, SINGLE)

SLOTS_DURING_A_DEPLOY = 2

# gunicorn's master of a slot, which has imported gunicorn and not the app.
MASTER_MEMORY = 32

# What is counted for a worker that nobody has measured yet, and what a measured one is given on top.
UNMEASURED = 128
HEADROOM = 1.25
MEASURED_STEP = 32

SIZES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


@dataclass(frozen=True)
class WorkerPlan:
    """The number of workers with what it was decided from. Memory is in MiB."""

    workers: int
    reason: str
    kind: str
    cpus: int
    by_cpu: int
    by_memory: int | None
    worker_memory: int | None


class Cpus(NamedTuple):
    """How many CPUs the workers can use at once, and how that is said."""

    count: int
    text: str


class Room(NamedTuple):
    """How many workers fit into some limit of memory, and which one it is."""

    workers: int
    text: str


def cpu_count(facts: dict[str, Any]) -> int:
    """Return the CPUs that the gathered *facts* say processes may use.

    ``processor_nproc`` respects the CPU affinity; the others count what is built in. Raises ValueError when the facts
    have none of them: nothing is ever read from the controller.
    """
    for name in ("processor_nproc", "processor_vcpus", "processor_count"):
        if isinstance(facts.get(name), int) and facts[name] > 0:
            return facts[name]
    raise ValueError(
        "the facts hold no CPU count (processor_nproc): gather the subset 'hardware', or set asgi_server_workers to a number"
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
) -> WorkerPlan:
    """Return how many workers to run on the host that *facts* describe.

    An explicit number of *workers* wins. ``auto`` takes the formula of the *kind*, not more than memory allows
    (*worker_memory* MiB for each worker in both slots, *reserved_memory* MiB left to the system, the rest shared with
    the other apps of the host), not more than *maximum*, and never fewer than *minimum*. The rest are limits of the
    unit. The kind ``single`` is always one. Raises ValueError for values that make no sense.
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
        room = min(_rooms(facts, counted, reserved_memory, memory_share, limits, app), key=lambda room: room.workers)
    number, reason = _decide(by_cpu, cpu_text, room, minimum, maximum)
    return WorkerPlan(number, f"{number} = {reason}", kind, cpus.count, by_cpu, room.workers if room else None, counted)


def as_dict(plan: WorkerPlan) -> dict[str, Any]:
    return asdict(plan)


def _check(workers, kind, minimum, maximum, worker_memory, memory_share):
    if isinstance(workers, bool) or not isinstance(workers, (int, str)):
        raise ValueError(f"workers is {workers!r}; it must be 'auto' or a number")
    if isinstance(workers, str) and workers != "auto" and not workers.isdecimal():
        raise ValueError(f"workers is {workers!r}; it must be 'auto' or a number")
    if workers != "auto" and int(workers) < 1:
        raise ValueError(f"workers is {workers!r}; at least one worker must run")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(sorted(KINDS))}")
    if minimum < 1:
        raise ValueError(f"minimum is {minimum}; at least one worker must run")
    if maximum is not None and maximum < minimum:
        raise ValueError(f"maximum is {maximum}, less than the minimum of {minimum}")
    if isinstance(worker_memory, str) and worker_memory != "measured" and not worker_memory.isdecimal():
        raise ValueError(f"worker_memory is {worker_memory!r}; it must be a number of MiB, or 'measured'")
    if worker_memory not in (None, "measured") and int(worker_memory) < 1:
        raise ValueError(f"worker_memory is {worker_memory}; a worker takes at least 1 MiB")
    if memory_share is not None and not 1 <= memory_share <= 100:
        raise ValueError(f"memory_share is {memory_share}; it must be a percentage from 1 to 100")


def _decide(by_cpu: int, cpu_text: str, room: Room | None, minimum: int, maximum: int | None) -> tuple[int, str]:
    """Return the number and how it came about."""
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
    """Return what the tightest limit leaves. A part of a CPU takes a worker of its own to be used."""
    present = cpu_count(facts)
    limits = [(float(present), "")]
    for name in ("CPUAffinity", "AllowedCPUs"):
        allowed = len(cpu_list(_text(settings.get(name, ""))))
        if allowed:
            limits.append((float(allowed), f"{name}={_text(settings[name])}"))
    if facts.get("cgroup_cpus"):
        limits.append((facts["cgroup_cpus"], f"a control group's limit of {facts['cgroup_cpus']:g}"))
    percent = str(quota or "").rstrip("%")
    if percent.isdecimal() and int(percent):
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
) -> Iterator[Room]:
    """Yield how many workers fit into each limit."""
    total = facts.get("memtotal_mb")
    if not isinstance(total, int):
        raise ValueError("the facts hold no memtotal_mb: gather the subset 'hardware', or set no worker memory")
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
    yield _room(left, counted, SLOTS_DURING_A_DEPLOY, text)

    if facts.get("cgroup_app_memory_mb"):
        limit = facts["cgroup_app_memory_mb"]
        yield _room(limit, counted, SLOTS_DURING_A_DEPLOY, f"{limit} MiB in the app's control group")
    for limit in limits:
        size = _size(limit, facts["memtotal_mb"])
        if size is not None:
            yield _room(size, counted, 1, f"{size} MiB of the unit's own limit")


def _room(available: int, counted: int, slots: int, text: str) -> Room:
    for_workers = available - slots * MASTER_MEMORY
    each = f"{counted} MiB a worker"
    return Room(max(for_workers // (slots * counted), 0), f"{text}, {each}{' in two slots' if slots > 1 else ''}")


def rounded(mebibytes: int) -> int:
    """Return *mebibytes* rounded down to about 3 %.

    Another kernel takes a little more or less for itself; that must not be another plan.
    """
    step = 1 << max(mebibytes.bit_length() - 6, 0)
    return mebibytes // step * step


def _size(value: Any, total: int) -> int | None:
    """Return a size as systemd writes it in MiB; None for no limit."""
    text = str(value or "").strip()
    if text.endswith("%") and text[:-1].isdecimal():
        return total * int(text[:-1]) // 100
    number, unit = (text[:-1], text[-1]) if text[-1:] in SIZES else (text, None)
    if not number.isdecimal():
        return None  # "infinity", or none given
    return int(int(number) * SIZES[unit]) if unit else int(number) >> 20


def _worker_memory(facts: dict[str, Any], given: int | str | None, app: str | None) -> int | None:
    """Return the MiB to count for one worker.

    A measured one never counts for less than the live configuration does: workers grow while they serve, and those of
    a new configuration would be measured small again.
    """
    if given != "measured":
        return None if given is None else int(given)
    counted = next((each["worker_memory"] for each in facts.get("apps") or [] if each["name"] == app), None)
    counted = max(counted or 0, UNMEASURED)
    measured = facts.get("measured_memory_mb") or 0
    return counted if measured <= counted else suggested_memory(measured)


def suggested_memory(measured: int) -> int:
    """Return the MiB to count for workers of which the largest was *measured*."""
    return math.ceil(measured * HEADROOM / MEASURED_STEP) * MEASURED_STEP
