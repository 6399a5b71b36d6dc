# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many workers a host should run, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# One more than there are CPUs keeps every CPU busy while a worker waits or is being replaced; an asynchronous worker
# serves many requests at once, so more than that only takes memory. Synchronous workers serve one request each and
# wait meanwhile: gunicorn's documentation ("Design", "How Many Workers?") recommends 2 x CPUs + 1.
FORMULAS = {
    "async": (lambda cpus: cpus + 1, "{cpus} CPUs + 1"),
    "sync": (lambda cpus: 2 * cpus + 1, "2 x {cpus} CPUs + 1"),
}

SLOTS_DURING_A_DEPLOY = 2


@dataclass(frozen=True)
class WorkerPlan:
    """The number of workers with what it was decided from. Memory is in MiB."""

    workers: int
    reason: str
    cpus: int
    by_cpu: int
    by_memory: int | None


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
    worker_memory: int | None = None,
    reserved_memory: int = 0,
) -> WorkerPlan:
    """Return how many workers to run on the host that *facts* describe.

    An explicit number of *workers* wins. ``auto`` takes the formula of the *kind*, not more than memory allows
    (*worker_memory* MiB for each worker in both slots, *reserved_memory* MiB left to the system), not more than
    *maximum*, and never fewer than *minimum*. Raises ValueError for values that make no sense.
    """
    if isinstance(workers, bool) or not isinstance(workers, (int, str)):
        raise ValueError(f"workers is {workers!r}; it must be 'auto' or a number")
    if isinstance(workers, str) and workers != "auto" and not workers.isdecimal():
        raise ValueError(f"workers is {workers!r}; it must be 'auto' or a number")
    if kind not in FORMULAS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(sorted(FORMULAS))}")
    if minimum < 1:
        raise ValueError(f"minimum is {minimum}; at least one worker must run")
    if maximum is not None and maximum < minimum:
        raise ValueError(f"maximum is {maximum}, less than the minimum of {minimum}")

    if workers != "auto":
        number = int(workers)
        if number < 1:
            raise ValueError(f"workers is {workers!r}; at least one worker must run")
        return WorkerPlan(number, f"{number} = set explicitly", cpus=0, by_cpu=number, by_memory=None)

    cpus = cpu_count(facts)
    formula, text = FORMULAS[kind]
    by_cpu = formula(cpus)
    by_memory = _by_memory(facts, worker_memory, reserved_memory)

    number, reason = by_cpu, text.format(cpus=cpus)
    if by_memory is not None and by_memory < number:
        number, reason = by_memory, f"memory for {by_memory} ({text.format(cpus=cpus)} would be {by_cpu})"
    if maximum is not None and maximum < number:
        number, reason = maximum, f"the maximum ({reason} would be {number})"
    if number < minimum:
        number, reason = minimum, f"the minimum ({reason} would be {number})"
    if by_memory is not None and number <= by_memory:
        reason += f"; memory would allow {by_memory}"
    return WorkerPlan(number, f"{number} = {reason}", cpus=cpus, by_cpu=by_cpu, by_memory=by_memory)


def _by_memory(facts: dict[str, Any], worker_memory: int | None, reserved_memory: int) -> int | None:
    """Return how many workers fit in memory while both slots run; None if that is not to be considered."""
    if worker_memory is None:
        return None
    if worker_memory < 1:
        raise ValueError(f"worker_memory is {worker_memory}; a worker takes at least 1 MiB")
    total = facts.get("memtotal_mb")
    if not isinstance(total, int):
        raise ValueError("the facts hold no memtotal_mb: gather the subset 'hardware', or set no worker memory")
    return max((total - reserved_memory) // (SLOTS_DURING_A_DEPLOY * worker_memory), 0)


def as_dict(plan: WorkerPlan) -> dict[str, Any]:
    return asdict(plan)
