# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers of workers to measure, and what to make of what was measured.

Of the numbers whose median throughput is within TOLERANCE of the best one's, the fewest workers win: each one more takes memory,
twice during a deploy, and connections to the database. Those that answer much more slowly at the same throughput are left out:
what p99 tells is how long requests wait behind others in one worker.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import shown
from ansible_collections.asgi.deploy.plugins.plugin_utils.text_table import aligned
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import MASTER_MEMORY, suggested_memory

# Less than that is not told apart from noise in seconds of load; a worker more is not worth it either.
TOLERANCE = 0.03
P99_FACTOR = 1.5

# MemoryMax is where the kernel kills: what a worker takes under load for seconds is less than what it takes in weeks.
MEMORY_FACTOR = 2
MEMORY_STEP = 64

# The share of the CPUs that others may take before the figures are doubted.
OTHERS = 0.1


@dataclass(frozen=True)
class Point:
    """What was measured with one number of workers: the medians of its rounds, the largest for memory."""

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
        """The CPUs that neither the app nor what measures it has used."""
        return max(self.cpu["machine"] - self.cpu["app"] - self.cpu["nginx"] - self.cpu["load"], 0.0)

    @property
    def spread(self) -> float:
        """How far the rounds are apart, as a share of their median."""
        return (max(self.throughputs) - min(self.throughputs)) / self.throughput if self.throughput else 0.0


@dataclass(frozen=True)
class Recommendation:
    """What to set, and why. Notes are what makes the figures worth less."""

    workers: int
    reason: str
    best: int
    variables: dict[str, Any]
    reasons: dict[str, str]
    notes: tuple[str, ...]


# ---- before


def worker_counts(value: Any) -> list[int]:
    """Return the numbers in *value*, a list or a text such as ``1,2,4``; raises ValueError for what is none."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [number for part in parts if (number := whole(part.strip() if isinstance(part, str) else part))]
    if len(numbers) < len(parts):
        raise ValueError(f"{shown(value)} is no list of numbers")
    return numbers


def candidates(
    auto: dict[str, Any],
    present: int,
    wanted: Sequence[int] | None = None,
    minimum: int = 1,
    maximum: int | None = None,
) -> list[int]:
    """Return the numbers of workers to measure, in order.

    *auto* is the worker plan that the host would have by itself, *present* the number that the inventory says. Without
    *wanted* ones they are 1, half the CPUs, as many, one more, twice as many, one more than that, and the present one, as
    far as memory allows. Raises ValueError for wanted ones that it does not allow, and where none could be recommended.
    """
    cpus, room = auto["cpus"], auto["by_memory"]
    # fewer than the minimum are never run, so that much memory is taken for granted
    most = None if room is None else max(room, minimum)
    if wanted is not None:
        chosen = sorted(set(wanted))
        too_many = [number for number in chosen if most is not None and number > most]
        if too_many:
            raise ValueError(
                f"{', '.join(map(str, too_many))} of asgi_tune_workers are more than the {most} that memory allows: "
                f"{auto['reason']}"
            )
    else:
        usual = {1, cpus // 2, cpus, cpus + 1, 2 * cpus, 2 * cpus + 1}
        limit = min((limit for limit in (most, maximum) if limit is not None), default=None)
        chosen = sorted({number for number in usual if number > 0 and (limit is None or number <= limit)} | {present})
    if max(chosen) < minimum:
        raise ValueError(
            f"asgi_tune_workers has no number of at least {minimum} (asgi_server_workers_min), so none could be recommended"
        )
    return chosen


# ---- after


def points(measurements: Iterable[dict[str, Any]]) -> list[Point]:
    """Return what each number of workers came to, in order."""
    rounds: dict[int, list[dict[str, Any]]] = {}
    for each in measurements:
        rounds.setdefault(each["workers"], []).append(each)
    return [_point(workers, rounds[workers]) for workers in sorted(rounds)]


def _point(workers: int, its: list[dict[str, Any]]) -> Point:
    def median(name: str) -> float:
        return statistics.median(each[name] for each in its)

    return Point(
        workers=workers,
        throughputs=tuple(each["throughput"] for each in its),
        p50_ms=median("p50_ms"),
        p99_ms=median("p99_ms"),
        cpu={name: statistics.median(each["cpu"][name] for each in its) for name in its[0]["cpu"]},
        worker_mb=max(each["worker_mb"] for each in its),
        slot_mb=max(each["slot_mb"] for each in its),
        errors=sum(sum(each["errors"].values()) for each in its),
    )


def choose(
    measured: Sequence[Point], minimum: int = 1, tolerance: float = TOLERANCE, p99_factor: float = P99_FACTOR
) -> tuple[Point, Point]:
    """Return the point to recommend and the one with the best throughput.

    Neither has failed requests or fewer workers than the *minimum*; the best one of all that may be run is the measure of
    the others. Raises ValueError when requests failed with each of them.
    """
    good = [point for point in measured if not point.errors and point.workers >= minimum]
    if not good:
        raise ValueError("requests failed with every number of workers that may be run: see the log of the app")
    best = max(good, key=lambda point: (point.throughput, -point.workers))
    near = [
        point
        for point in good
        if point.throughput >= best.throughput * (1 - tolerance) and point.p99_ms <= best.p99_ms * p99_factor
    ]
    return min(near, key=lambda point: point.workers), best


def recommend(
    measured: Sequence[Point], result: dict[str, Any], plan: dict[str, Any], minimum: int = 1
) -> Recommendation:
    """Return what to set after *measured*; *result* is the module's, *plan* the worker plan that holds without it."""
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
            f"twice {chosen.workers} x {largest} MiB, the largest worker seen, and {MASTER_MEMORY} for the master; "
            "no less than the worker plan counts"
        ),
        "asgi_proxy_upstream_keepalive": (
            f"as many idle connections as {load['connections']} clients need, {load['keepalive']} at the time: "
            "what finds none opens one, and it is closed after one request"
        ),
    }
    if worker_memory > counted:
        variables["asgi_server_worker_memory"] = worker_memory
        reasons["asgi_server_worker_memory"] = f"a worker took {largest} MiB, and the worker plan counts {counted}"
    variables["asgi_proxy_upstream_keepalive"] = keepalive
    return Recommendation(
        workers=chosen.workers,
        reason=reasons["asgi_server_workers"],
        best=best.workers,
        variables=variables,
        reasons=reasons,
        notes=tuple(_notes(measured, result, chosen, minimum)),
    )


def _memory_max(workers: int, largest: int, worker_memory: int) -> int:
    """Return the MiB of a slot's MemoryMax: with room to grow, and never less than the worker plan counts for it."""
    needed = max(MEMORY_FACTOR * (MASTER_MEMORY + workers * largest), MASTER_MEMORY + workers * worker_memory)
    return -(-needed // MEMORY_STEP) * MEMORY_STEP


def _why(chosen: Point, best: Point) -> str:
    if chosen.workers == best.workers:
        return f"{chosen.throughput:.0f} requests/s, the most, and no fewer workers that may be run come near it, p99 included"
    less = 1 - chosen.throughput / best.throughput
    return (
        f"{chosen.throughput:.0f} requests/s, {less:.1%} less than the most ({best.throughput:.0f} with {best.workers}), and "
        "the fewest workers that come so near"
    )


def _notes(measured: Sequence[Point], result: dict[str, Any], chosen: Point, minimum: int) -> Iterator[str]:
    rounds, wanted, cpus = len(measured[0].throughputs), result["load"]["rounds"], result["machine"]["cpus"]
    if rounds < wanted:
        yield f"{rounds} of {wanted} rounds were done when the time was over (asgi_tune_budget)"
    spread = max(point.spread for point in measured)
    if rounds > 1 and spread > 2 * TOLERANCE:
        yield (
            f"the rounds of one candidate differ by up to {spread:.0%}, so {TOLERANCE:.0%} between two are noise: repeat it at a "
            "quiet time, or with more rounds (asgi_tune_rounds) and seconds (asgi_tune_seconds)"
        )
    others = max(point.others for point in measured)
    if others > OTHERS * cpus:
        yield f"something else took up to {others:.1f} of the {cpus} CPUs meanwhile: repeat it at a quiet time"
    failed = [str(point.workers) for point in measured if point.errors]
    if failed:
        yield f"requests failed with {_workers(', '.join(failed))}: not recommended"
    below = [str(point.workers) for point in measured if point.workers < minimum]
    if below:
        yield f"asgi_server_workers_min is {minimum}, so {_workers(', '.join(below))} could not be recommended"
    usable = [point for point in measured if point.workers >= minimum]
    if len(usable) > 1 and chosen.workers == usable[-1].workers:
        yield "the most workers of all candidates came out best: try more (asgi_tune_workers)"


def _workers(counts: str) -> str:
    return "1 worker" if counts == "1" else f"{counts} workers"


# ---- to read


def snippet(found: Recommendation, headings: Sequence[str]) -> str:
    """Return the variables as a YAML file, each with its reason."""
    lines = [f"# {heading}" for heading in headings]
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
    """Return all of it for a terminal."""
    rows = [
        [text(point) for text in COLUMNS.values()] + ["<- this" if point.workers == found.workers else ""]
        for point in measured
    ]
    lines = aligned([[*COLUMNS, ""], *rows])
    lines += [
        "",
        *(f"{name}: {value}" for name, value in found.variables.items()),
        "",
        f"{found.workers} = {found.reason}",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])
