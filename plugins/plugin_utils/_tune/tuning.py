# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the numbers of workers to measure, and recommend one of them.

The recommendation is the smallest number whose median throughput is within TOLERANCE of the best, because each additional worker takes
memory (twice as much during a deploy) and database connections. Numbers with a much higher p99 are excluded, because p99 shows how long
requests wait behind others in the same worker.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import MASTER_MEMORY, suggested_memory
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import shown

# Smaller differences are noise in measurements that take seconds, and not worth an additional worker.
TOLERANCE = 0.03
P99_FACTOR = 1.5

# The rounds of one number of workers disagree if they differ by more than this share of their median. The difference that decides
# between two numbers (TOLERANCE) is then far below the noise, and the recommendation is a guess.
DISAGREEMENT = 0.2

# Reserve in MemoryMax, beyond which the kernel kills processes: workers use more memory after weeks than after seconds of load.
MEMORY_FACTOR = 2
MEMORY_STEP = 64

REPEAT = (
    "repeat the measurement at a quiet time, or with more rounds (asgi_tune_rounds) and seconds (asgi_tune_seconds)"
)

# If other processes use more than this share of the CPUs, the report contains a note.
OTHERS = 0.1


@dataclass(frozen=True)
class Point:
    """The figures for one number of workers: medians of its rounds, and maxima for memory."""

    workers: int
    throughputs: tuple[float, ...]
    p50_ms: float
    p99_ms: float
    cpu: dict[str, float]
    worker_mb: int
    slot_mb: int
    errors: int

    @property
    def throughput(self) -> float:
        return statistics.median(self.throughputs)

    @property
    def others(self) -> float:
        """Number of CPUs used by processes other than the app, nginx and the load tool."""
        return max(self.cpu["machine"] - self.cpu["app"] - self.cpu["nginx"] - self.cpu["load"], 0.0)

    @property
    def spread(self) -> float:
        """Difference between the best and the worst round as a share of their median."""
        return (max(self.throughputs) - min(self.throughputs)) / self.throughput if self.throughput else 0.0


@dataclass(frozen=True)
class Recommendation:
    """The recommended values and their reasons. Notes list what makes the figures less reliable.

    ``uncertain`` explains why the recommendation cannot be trusted, with the remedy; it is empty if it can.
    """

    workers: int
    reason: str
    uncertain: str
    best: int
    variables: dict[str, Any]
    reasons: dict[str, str]
    notes: tuple[str, ...]


def worker_counts(value: Any) -> list[int]:
    """Return the numbers in *value*, a list or a string such as ``1,2,4``; raise ValueError for other values."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [number for part in parts if (number := whole(part.strip() if isinstance(part, str) else part))]
    if len(numbers) < len(parts):
        raise ValueError(f"{shown(value)} is not a list of numbers")
    return numbers


def candidates(
    auto: dict[str, Any],
    present: int,
    wanted: Any = None,
    minimum: int = 1,
    maximum: int | None = None,
) -> list[int]:
    """Return the numbers of workers to measure, in ascending order.

    *auto* is the worker plan for ``auto``, *present* the configured number, and *wanted* a value for worker_counts(). Without *wanted*,
    the numbers are 1, *present*, and CPUs / 2, CPUs, CPUs + 1, 2 x CPUs and 2 x CPUs + 1 as far as memory and *maximum* allow. Raises
    ValueError for *wanted* numbers that memory does not allow, and if all numbers are below *minimum*.
    """
    cpus, room = auto["cpus"], auto["by_memory"]
    # the minimum is always allowed, regardless of memory
    most = None if room is None else max(room, minimum)
    if wanted is not None:
        chosen = sorted(set(worker_counts(wanted)))
        too_many = [number for number in chosen if most is not None and number > most]
        if too_many:
            raise ValueError(
                f"asgi_tune_workers contains {', '.join(map(str, too_many))}, and memory allows at most {most}: {auto['reason']}"
            )
    else:
        usual = {1, cpus // 2, cpus, cpus + 1, 2 * cpus, 2 * cpus + 1}
        limit = min((limit for limit in (most, maximum) if limit is not None), default=None)
        chosen = sorted({number for number in usual if number > 0 and (limit is None or number <= limit)} | {present})
    if max(chosen) < minimum:
        raise ValueError(
            f"asgi_tune_workers contains no number of at least {minimum} (asgi_server_workers_min), so none could be recommended"
        )
    return chosen


def points(measurements: Iterable[dict[str, Any]]) -> list[Point]:
    """Return the figures for each number of workers, in ascending order."""
    rounds: dict[int, list[dict[str, Any]]] = {}
    for each in measurements:
        rounds.setdefault(each["workers"], []).append(each)
    return [_point(workers, rounds[workers]) for workers in sorted(rounds)]


def _point(workers: int, rounds: list[dict[str, Any]]) -> Point:
    def median(name: str) -> float:
        return statistics.median(each[name] for each in rounds)

    return Point(
        workers=workers,
        throughputs=tuple(each["throughput"] for each in rounds),
        p50_ms=median("p50_ms"),
        p99_ms=median("p99_ms"),
        cpu={name: statistics.median(each["cpu"][name] for each in rounds) for name in rounds[0]["cpu"]},
        worker_mb=max(each["worker_mb"] for each in rounds),
        slot_mb=max(each["slot_mb"] for each in rounds),
        errors=sum(sum(each["errors"].values()) for each in rounds),
    )


def choose(
    measured: Sequence[Point], minimum: int = 1, tolerance: float = TOLERANCE, p99_factor: float = P99_FACTOR
) -> tuple[Point, Point]:
    """Return the point to recommend and the one with the best throughput.

    Only points without failed requests and with at least *minimum* workers count. Raises ValueError if there is none.
    """
    good = [point for point in measured if _eligible(point, minimum)]
    if not good:
        raise ValueError("requests failed with every number of workers from the minimum on -> see the log of the app")
    best = max(good, key=lambda point: (point.throughput, -point.workers))
    near = [
        point
        for point in good
        if point.throughput >= best.throughput * (1 - tolerance) and point.p99_ms <= best.p99_ms * p99_factor
    ]
    return min(near, key=lambda point: point.workers), best


def _eligible(point: Point, minimum: int) -> bool:
    """Return whether *point* is a candidate for the recommendation."""
    return not point.errors and point.workers >= minimum


def recommend(
    measured: Sequence[Point], result: dict[str, Any], plan: dict[str, Any], minimum: int = 1
) -> Recommendation:
    """Return the recommendation for *measured*; *result* is the module's result, *plan* the current worker plan."""
    chosen, best = choose(measured, minimum)
    load = result["load"]
    largest = max(point.worker_mb for point in measured)
    counted = plan["worker_memory"] or 0
    worker_memory = max(suggested_memory(largest), counted)
    memory_max = _memory_max(chosen.workers, largest, worker_memory)
    keepalive = max(1 << (load["connections"] - 1).bit_length(), load["keepalive"])

    variables: dict[str, Any] = {"asgi_server_workers": chosen.workers, "asgi_server_memory_max": f"{memory_max}M"}
    reasons = {
        "asgi_server_workers": _why(chosen, best),
        "asgi_server_memory_max": (
            f"twice the sum of {chosen.workers} x {largest} MiB, the largest worker, and {MASTER_MEMORY} MiB for the master, but at "
            "least the memory in the worker plan"
        ),
        "asgi_proxy_upstream_keepalive": (
            f"enough idle connections for {load['connections']} clients, {load['keepalive']} during the measurement; a request without "
            "an idle connection opens one that is closed after the request"
        ),
    }
    if worker_memory > counted:
        variables["asgi_server_worker_memory"] = worker_memory
        reasons["asgi_server_worker_memory"] = (
            f"the largest worker used {largest} MiB, and the worker plan assumes {counted}"
        )
    variables["asgi_proxy_upstream_keepalive"] = keepalive
    return Recommendation(
        workers=chosen.workers,
        reason=reasons["asgi_server_workers"],
        uncertain=_uncertain(measured, minimum),
        best=best.workers,
        variables=variables,
        reasons=reasons,
        notes=tuple(_notes(measured, result, chosen, minimum)),
    )


def _uncertain(measured: Sequence[Point], minimum: int) -> str:
    """Return why the recommendation is uncertain, with the remedy; "" if the rounds of all candidates agree."""
    widest = max((point for point in measured if _eligible(point, minimum)), key=lambda point: point.spread)
    if widest.spread <= DISAGREEMENT:
        return ""
    least, most = min(widest.throughputs), max(widest.throughputs)
    return (
        f"the rounds disagree: with {_workers(str(widest.workers))} they ranged from {least:.0f} to {most:.0f} requests/s, "
        f"{widest.spread:.0%} of the median. Do not use this result: {REPEAT}"
    )


def _memory_max(workers: int, largest: int, worker_memory: int) -> int:
    """Return MemoryMax of a slot in MiB: the measured memory with a reserve, but at least the memory in the worker plan."""
    needed = max(MEMORY_FACTOR * (MASTER_MEMORY + workers * largest), MASTER_MEMORY + workers * worker_memory)
    return -(-needed // MEMORY_STEP) * MEMORY_STEP


def _why(chosen: Point, best: Point) -> str:
    if chosen.workers == best.workers:
        return f"{chosen.throughput:.0f} requests/s, the best throughput; no smaller number of workers comes close in throughput and p99"
    less = 1 - chosen.throughput / best.throughput
    return (
        f"{chosen.throughput:.0f} requests/s, {less:.1%} less than the best throughput ({best.throughput:.0f} with {best.workers}), "
        "with the smallest number of workers that comes close"
    )


def _notes(measured: Sequence[Point], result: dict[str, Any], chosen: Point, minimum: int) -> Iterator[str]:
    rounds, wanted, cpus = len(measured[0].throughputs), result["load"]["rounds"], result["machine"]["cpus"]
    if rounds < wanted:
        yield f"only {rounds} of {wanted} rounds fit into the time budget (asgi_tune_budget)"
    spread = max(point.spread for point in measured)
    if spread > 2 * TOLERANCE and not _uncertain(measured, minimum):
        yield f"the rounds of one candidate differ by up to {spread:.0%}, so {TOLERANCE:.0%} between two of them is noise: {REPEAT}"
    others = max(point.others for point in measured)
    if others > OTHERS * cpus:
        yield f"other processes used up to {others:.1f} of the {cpus} CPUs: repeat the measurement at a quiet time"
    failed = [str(point.workers) for point in measured if point.errors]
    if failed:
        yield f"requests failed with {_workers(', '.join(failed))}: not recommended"
    below = [str(point.workers) for point in measured if point.workers < minimum]
    if below:
        yield f"asgi_server_workers_min is {minimum}, so {_workers(', '.join(below))} could not be recommended"
    usable = [point for point in measured if point.workers >= minimum]
    if len(usable) > 1 and chosen.workers == usable[-1].workers:
        yield "the largest number of workers is the best: measure larger numbers (asgi_tune_workers)"


def _workers(counts: str) -> str:
    return "1 worker" if counts == "1" else f"{counts} workers"


def snippet(found: Recommendation, headings: Sequence[str]) -> str:
    """Return the variables as a YAML file, with a comment on each that gives the reason."""
    lines = [f"# {heading}" for heading in headings]
    lines += [f"# UNCERTAIN: {found.uncertain}."] if found.uncertain else []
    lines += [f"# Note: {note}." for note in found.notes]
    for name, value in found.variables.items():
        lines += [f"# {found.reasons[name]}", f"{name}: {value}"]
    return "\n".join(["---", *lines]) + "\n"


COLUMNS = {
    "workers": lambda point: str(point.workers),
    "requests/s": lambda point: f"{point.throughput:.0f}",
    "from": lambda point: f"{min(point.throughputs):.0f}",
    "to": lambda point: f"{max(point.throughputs):.0f}",
    "p50 ms": lambda point: f"{point.p50_ms:.1f}",
    "p99 ms": lambda point: f"{point.p99_ms:.1f}",
    "CPUs app": lambda point: f"{point.cpu['app']:.2f}",
    "nginx": lambda point: f"{point.cpu['nginx']:.2f}",
    "load": lambda point: f"{point.cpu['load']:.2f}",
    "MiB/worker": lambda point: str(point.worker_mb),
    "MiB": lambda point: str(point.slot_mb),
    "failed": lambda point: str(point.errors),
}


def table(measured: Sequence[Point], found: Recommendation) -> str:
    """Return the report as text for a terminal."""
    rows = [
        [text(point) for text in COLUMNS.values()] + ["<- this" if point.workers == found.workers else ""]
        for point in measured
    ]
    lines = aligned([[*COLUMNS, ""], *rows])
    lines += ["", f"UNCERTAIN: {found.uncertain}"] if found.uncertain else []
    lines += [
        "",
        *(f"{name}: {value}" for name, value in found.variables.items()),
        "",
        f"{found.workers}{' (uncertain)' if found.uncertain else ''} = {found.reason}",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])
