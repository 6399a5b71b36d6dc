"""Render the results of the benchmark as pages for docs/benchmarks. The functions have no side effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from traffic.broken import BROKEN
from traffic.catalogue import REPLACING
from traffic.counting import QUIET, WARM_UP, pooled
from traffic.session import Result

from bench.traffic.timeline import Track, drawing

IDLE = (WARM_UP, QUIET)
QUOTED_LINES = 4
# The path of the checkout, which is removed from quoted output.
PROJECT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Kind:
    """All results of one disturbance."""

    name: str
    results: Sequence[Result]

    @property
    def requests(self) -> int:
        return sum(result.figures.requests for result in self.results)

    @property
    def lost(self) -> int:
        return sum(result.figures.lost for result in self.results)

    @property
    def lost_post(self) -> int:
        return sum(result.figures.lost_post for result in self.results)

    @property
    def inconsistent(self) -> int:
        return sum(result.figures.inconsistent + result.figures.wrong_release for result in self.results)

    @property
    def stalls(self) -> int:
        return sum(result.figures.stalls for result in self.results)

    @property
    def worst(self) -> float:
        return max(result.figures.worst for result in self.results)

    def latency(self, share: float) -> float:
        return pooled((result.figures.latencies for result in self.results), share)


def kinds(results: Iterable[Result], site: str) -> list[Kind]:
    """Return the disturbances of *site* in the order of their first run, without the warm-up."""
    found: dict[str, list[Result]] = {}
    for result in results:
        if result.site == site and result.name != WARM_UP:
            found.setdefault(result.name, []).append(result)
    return [Kind(name, each) for name, each in found.items()]


def losses(results: Iterable[Result]) -> int:
    """Return the number of lost requests of our site."""
    return sum(result.figures.lost for result in results if result.site == "ours")


def totals(results: Sequence[Result]) -> str:
    lines = []
    for site in ("ours", "stock"):
        mine = [result for result in results if result.site == site]
        disturbances = sum(result.name not in IDLE for result in mine)
        requests, lost = (sum(getattr(result.figures, name) for result in mine) for name in ("requests", "lost"))
        lines.append(f"{site}: {lost:,} of {requests:,} requests lost in {disturbances} disturbances")
    return "\n".join(lines)


def render(results: Sequence[Result], versions: Mapping[str, str]) -> dict[str, str]:
    """Return the pages, by file name."""
    return {
        "README.md": _figures_page(results, versions),
        "broken-releases.md": _broken_page(results),
        "timeline.svg": drawing(
            [
                Track(f"{site}: {kind.name}", [result.figures.course for result in kind.results])
                for site in ("ours", "stock")
                for kind in kinds(results, site)
                if kind.name not in IDLE
            ]
        ),
    }


def _figures_page(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    ours, stock = kinds(results, "ours"), kinds(results, "stock")
    days = sorted({datetime.fromtimestamp(result.at, UTC).date().isoformat() for result in results})
    quiet = next(kind for kind in ours if kind.name == QUIET)
    deploys = Kind("deploys", [result for result in results if result.site == "ours" and result.name in REPLACING])
    ratio = deploys.latency(0.999) / quiet.latency(0.999)
    facts = "\n".join(f"| {name} | {value} |" for name, value in versions.items())
    return f"""# Lost requests

Written by `make bench` ({", ".join(days)}). Clients on the same computer send GET and POST requests in random order over TLS.
Each request has a unique id and is sent once. {ours[0].results[0].concurrency} clients use keep-alive connections, four of them with requests that
take half a second; others hold WebSockets and event streams. A request is lost if the answer is not a 2xx with its id. It is
inconsistent if the app executed it and the client got an error, if the app executed it twice, or if the wrong release answered
it. A stall is an answer that took more than one second longer than the request asked for.

```
{totals(results)}
```

{_table(ours + stock)}

The p99.9 during the replacement of a release is {deploys.latency(0.999)} ms, {ratio:.1f} times that of the quiet periods of the same runs
({quiet.latency(0.999)} ms). The clients, the controller, the builds and the app share the processors, and only a few requests determine a p99.9.

{_failures(results)}The stock recipe is the one of common tutorials (`molecule/traffic/stock`): two UvicornWorkers behind nginx with upstream
keepalive, one unit, `ExecReload` = HUP. Its clients use no WebSockets and no streams, because its reload would wait for these and then cut them.

## Timeline

Each row is a disturbance, with all its rounds overlaid. The height is the slowest answer of each quarter of a second (logarithmic);
a red bar is a lost request.

![Slowest answers and lost requests over the seconds of each disturbance](timeline.svg)

## Environment

| | |
|---|---|
{facts}
"""


def _failures(results: Sequence[Result]) -> str:
    """Return a sentence about the actions that failed, if any."""
    failed = [f"{result.name} ({result.failure[:100].splitlines()[0]})" for result in results if result.failure]
    return f"Failed actions, which are included in the counts: {'; '.join(failed)}.\n\n" if failed else ""


def _table(rows: Sequence[Kind]) -> str:
    head = "| | times | requests | lost | lost POST | inconsistent | stalls | p50 ms | p99 ms | p99.9 ms | worst ms |"
    lines = [head, "|---|" + "--:|" * 10]
    for kind in rows:
        cells = [
            len(kind.results),
            f"{kind.requests:,}",
            f"**{kind.lost}**",
            kind.lost_post,
            kind.inconsistent,
            kind.stalls,
            kind.latency(0.5),
            kind.latency(0.99),
            kind.latency(0.999),
            kind.worst,
        ]
        site = kind.results[0].site
        name = kind.name if site == "ours" or kind.name not in IDLE else f"{kind.name}, {site}"
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _broken_page(results: Sequence[Result]) -> str:
    sections = []
    found = {kind.name: kind for kind in kinds(results, "ours")}
    for broken in BROKEN:
        if broken.name not in found:
            continue
        kind = found[broken.name]
        last = kind.results[-1]
        serving = "the previous release" if last.before == last.after else f"{last.after} instead of {last.before}"
        quoted = "\n".join(last.output.replace(PROJECT, ".").splitlines()[:QUOTED_LINES])
        times = "Once" if len(kind.results) == 1 else f"{len(kind.results)} times"
        sections.append(
            f"## {broken.name[0].upper()}{broken.name[1:]}\n\n"
            f"{times}, during {kind.requests:,} requests, **{kind.lost} lost**; afterwards {serving} serves.\n\n"
            f"```\n{quoted}\n```\n"
        )
    return (
        "# Broken releases\n\n"
        "Written by `make bench`. Each broken release was deployed under load while another release served. The quotations are the "
        f"first {QUOTED_LINES} lines of the error message; for a release that was started, the lines of its journal follow.\n\n"
        + "\n".join(sections)
    )
