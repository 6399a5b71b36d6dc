"""What the benchmark found, as pages for docs/benchmarks. Pure: results in, texts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from traffic.broken import BROKEN
from traffic.catalogue import REPLACING
from traffic.counting import QUIET, WARM_UP, pooled
from traffic.session import Result
from traffic.timeline import Track, drawing

IDLE = (WARM_UP, QUIET)
QUOTED_LINES = 4
# of the checkout, in what was quoted
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
    def untrue(self) -> int:
        return sum(result.figures.untrue + result.figures.wrong_release for result in self.results)

    @property
    def stalls(self) -> int:
        return sum(result.figures.stalls for result in self.results)

    @property
    def worst(self) -> float:
        return max(result.figures.worst for result in self.results)

    def latency(self, share: float) -> float:
        return pooled((result.figures.latencies for result in self.results), share)


def kinds(results: Iterable[Result], site: str) -> list[Kind]:
    """Return the disturbances of *site* in the order in which they first came; warming up is none."""
    found: dict[str, list[Result]] = {}
    for result in results:
        if result.site == site and result.name != WARM_UP:
            found.setdefault(result.name, []).append(result)
    return [Kind(name, each) for name, each in found.items()]


def losses(results: Iterable[Result]) -> int:
    """Return how many requests of our site were lost."""
    return sum(result.figures.lost for result in results if result.site == "ours")


def totals(results: Sequence[Result]) -> str:
    lines = []
    for site in ("ours", "stock"):
        mine = [result for result in results if result.site == site]
        disturbances = sum(result.name not in IDLE for result in mine)
        requests, lost = (sum(getattr(result.figures, name) for result in mine) for name in ("requests", "lost"))
        lines.append(f"{site}: {lost:,} of {requests:,} requests lost in {disturbances} disturbances")
    return "\n".join(lines)


def pages(results: Sequence[Result], versions: Mapping[str, str]) -> dict[str, str]:
    """Return the pages by name."""
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
    return f"""# Requests lost, counted

Written by `make bench` ({", ".join(days)}). Clients on the same computer ask over TLS, GET and POST in turn of chance, each
request with an id of its own and sent once: {ours[0].results[0].askers} of them on connections that they keep, four of these for half-second
requests; beside them WebSockets and event streams. A request counts as lost when it is not answered with 2xx and its own id; as
untrue when it was executed and its client told otherwise, executed twice, or answered by a release that should not have
served. A stall is an answer that took more than a second longer than it should.

```
{totals(results)}
```

{_table(ours + stock)}

p99.9 while a release replaces another is {deploys.latency(0.999)} ms, {ratio:.1f} times that of the quiet times of the same runs ({quiet.latency(0.999)} ms).
Clients, controller, builds and the app share the processors here, and a p99.9 is made by a handful of requests.

{_troubles(results)}The stock recipe is the one that tutorials give (`molecule/traffic/stock`): two UvicornWorkers behind nginx with upstream
keepalive, one unit, `ExecReload` = HUP. It gets kinder clients: no WebSockets and no streams, which its reload would wait for and then cut.

## Slowest answer and losses in the course of each disturbance

One line for each disturbance, all rounds laid over one another, from its beginning; the height is the slowest answer of each
quarter of a second (logarithmic), a red bar is a lost request.

![Slowest answers and lost requests over the seconds of each disturbance](timeline.svg)

## What it ran on

| | |
|---|---|
{facts}
"""


def _troubles(results: Sequence[Result]) -> str:
    """Return what did not go as it should, other than for the clients."""
    found = [f"{result.name} ({result.trouble[:100].splitlines()[0]})" for result in results if result.trouble]
    return f"Not as planned, and counted all the same: {'; '.join(found)}.\n\n" if found else ""


def _table(rows: Sequence[Kind]) -> str:
    head = "| | times | requests | lost | of these POST | untrue | stalls | p50 ms | p99 ms | p99.9 ms | worst ms |"
    lines = [head, "|---|" + "--:|" * 10]
    for kind in rows:
        cells = [
            len(kind.results),
            f"{kind.requests:,}",
            f"**{kind.lost}**",
            kind.lost_post,
            kind.untrue,
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
        serving = "what served before" if last.before == last.after else f"{last.after}, and not {last.before}"
        quoted = "\n".join(last.said.replace(PROJECT, ".").splitlines()[:QUOTED_LINES])
        times = "Once" if len(kind.results) == 1 else f"{len(kind.results)} times"
        sections.append(
            f"## {broken.name[0].upper()}{broken.name[1:]}\n\n"
            f"{times}, {kind.requests:,} requests meanwhile, **{kind.lost} lost**; afterwards serves {serving}.\n\n"
            f"```\n{quoted}\n```\n"
        )
    return (
        "# Ways to break a release\n\n"
        "Written by `make bench`. Each of these was deployed over a release that served, under load. What the user is told is "
        f"quoted to its first {QUOTED_LINES} lines; where the release came to boot, the lines of its journal follow.\n\n"
        + "\n".join(sections)
    )
