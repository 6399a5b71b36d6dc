"""The results as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from traffic.counting import QUIET, pooled
from traffic.session import Result


def table(results: Sequence[Result]) -> str:
    """Return one line for each result, the columns aligned."""
    rows = [list(COLUMNS), *([str(cell(result)) for cell in COLUMNS.values()] for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    left = {"disturbance", "faults", "WebSockets", "streams"}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def latency(results: Sequence[Result], names: Sequence[str]) -> str:
    """Return how the disturbances *names* compare with the quiet times of the same run.

    For people, and no test: 0.1 % of some thousand requests is a handful, which whatever else this computer does decides.
    """
    quiet = [result.figures for result in results if result.name == QUIET]
    busy = [result.figures for result in results if result.name in names]
    times = [pooled((figures.latencies for figures in each), 0.999) for each in (quiet, busy)]
    requests = [sum(figures.requests for figures in each) for each in (quiet, busy)]
    return (
        f"p99.9: {times[0]} ms of {requests[0]:,} requests in the quiet, "
        f"{times[1]} ms of {requests[1]:,} while a release replaces another: {times[1] / times[0]:.1f} times"
    )


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))


def _streams(result: Result) -> str:
    figures = result.figures
    if not figures.streams:
        return ""
    return f"{figures.streams} ended, {figures.streams_cut} cut, {figures.streams_broken_off} broken off"


# heading -> what stands below it
COLUMNS: dict[str, Callable[[Result], object]] = {
    "disturbance": lambda result: result.name,
    "s": lambda result: result.seconds or "",
    "requests": lambda result: result.figures.requests,
    "lost GET": lambda result: result.figures.lost_get,
    "lost POST": lambda result: result.figures.lost_post,
    "untrue": lambda result: result.figures.untrue,
    "stalls": lambda result: result.figures.stalls,
    "wrong": lambda result: result.figures.wrong_release,
    "p50": lambda result: result.figures.p50,
    "p99": lambda result: result.figures.p99,
    "p99.9": lambda result: result.figures.p999,
    "worst ms": lambda result: result.figures.worst,
    "faults": lambda result: _tally(result.figures.faults),
    "WebSockets": lambda result: _tally(result.figures.closed),
    "streams": _streams,
}
