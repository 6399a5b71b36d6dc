"""Format results as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from traffic.counting import QUIET, pooled
from traffic.session import Result


def table(results: Sequence[Result]) -> str:
    """Return one line for each result, in aligned columns."""
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
    """Compare the latency of the disturbances *names* with that of the quiet periods of the same run.

    No test asserts this comparison: 0.1 % of some thousand requests are only a handful, and depend on the other load of this computer.
    """
    quiet = [result.figures for result in results if result.name == QUIET]
    busy = [result.figures for result in results if result.name in names]
    times = [pooled((figures.latencies for figures in each), 0.999) for each in (quiet, busy)]
    requests = [sum(figures.requests for figures in each) for each in (quiet, busy)]
    return (
        f"p99.9: {times[0]} ms of {requests[0]:,} requests in quiet periods, "
        f"{times[1]} ms of {requests[1]:,} during the replacement of a release: {times[1] / times[0]:.1f} times"
    )


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))


def _streams(result: Result) -> str:
    figures = result.figures
    if not figures.streams:
        return ""
    return f"{figures.streams} ended, {figures.streams_cut} with a cut event, {figures.streams_incomplete} incomplete"


# heading -> value
COLUMNS: dict[str, Callable[[Result], object]] = {
    "disturbance": lambda result: result.name,
    "s": lambda result: result.seconds or "",
    "requests": lambda result: result.figures.requests,
    "lost GET": lambda result: result.figures.lost_get,
    "lost POST": lambda result: result.figures.lost_post,
    "inconsistent": lambda result: result.figures.inconsistent,
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
