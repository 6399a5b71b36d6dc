# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A measurement as a self-contained HTML page with the recommended variables and charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import COLUMNS, TOLERANCE, Point, Recommendation

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 22, 44
TICKS = 4

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #fff; --ink: #1b2430; --soft: #5d6b7c; --line: #dde2e9;
  --good: #137a4b; --good-ground: #e2f5ea; --odd: #8a5300; --odd-ground: #fff1d6;
  --a: #2f6fde; --b: #d9822b; --c: #7b4fc9; --d: #aab4c0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10151c; --card: #19212b; --ink: #e6ebf2; --soft: #96a4b5; --line: #2b3644;
    --good: #5fd39b; --good-ground: #12301f; --odd: #f3bd63; --odd-ground: #3a2a0d;
    --a: #6ea0ff; --b: #f0a357; --c: #a98af0; --d: #556270;
  }
}
/* no green if the rounds disagree */
.uncertain { --good: var(--odd); --good-ground: var(--odd-ground); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; }
h1 { font-size: 22px; margin: 0; }
header time { color: var(--soft); margin-left: auto; }
.hero { display: grid; grid-template-columns: auto 1fr; gap: 8px 28px; align-items: center; margin-top: 16px;
  padding: 18px 24px; border-radius: 12px; background: var(--good-ground); }
.number { color: var(--good); font-size: 64px; font-weight: 700; line-height: 1; text-align: center; }
.number small { display: block; font-size: 15px; font-weight: 600; }
.hero p { margin: 0; font-size: 17px; }
.hero p + p { margin-top: 8px; }
.note { margin: 10px 0 0; padding: 8px 18px; border-radius: 10px; color: var(--odd); background: var(--odd-ground); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; margin-top: 20px; }
figure { margin: 0; padding: 14px 14px 8px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
figcaption { font-weight: 600; padding-left: 6px; }
figcaption span { font-weight: 400; color: var(--soft); font-size: 13px; margin-left: 8px; }
figcaption i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 5px 0 12px; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .value { fill: var(--ink); font-weight: 600; }
svg .grid { stroke: var(--line); }
svg .chosen { fill: var(--good-ground); }
svg .name { fill: var(--good); font-weight: 700; }
svg .near { fill: var(--good); opacity: .14; }
svg .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
svg .dot { stroke: var(--card); stroke-width: 1.5; }
svg .round { opacity: .45; }
svg .limit { stroke: var(--odd); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg .limit-name { fill: var(--odd); }
h2 { font-size: 18px; margin: 36px 0 10px; }
pre { margin: 0; padding: 14px 18px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow-x: auto;
  font: 14px/1.6 ui-monospace, "DejaVu Sans Mono", monospace; }
pre i { color: var(--soft); font-style: normal; white-space: pre-wrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 12px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
tr.this td { background: var(--good-ground); font-weight: 600; }
.how { color: var(--soft); max-width: 80ch; }
"""


def as_page(
    measured: Sequence[Point],
    found: Recommendation,
    result: dict[str, Any],
    plan: dict[str, Any],
    host: str,
    app: str,
    at: str,
) -> str:
    """Return the page for the points *measured* on *host*; *result* is the module's result, *plan* the current worker plan."""
    unit = "worker" if found.workers == 1 else "workers"
    number, mark = f"{found.workers} {unit}", ""
    text = f"<p>{escape(found.reason)}; currently {escape(plan['reason'])}</p>"
    if found.uncertain:
        number, mark, unit = f"{number}, uncertain", "?", f"{unit}, uncertain"
        text = f"<p><strong>{escape(found.uncertain[0].upper() + found.uncertain[1:])}.</strong></p>{text}"
    hero = f'<div class="number">{found.workers}{mark}<small>{unit}</small></div><div>{text}</div>'
    notes = "\n".join(f'<p class="note">{escape(note)}</p>' for note in found.notes)
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(f'{app} on {host}: {number}')}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        '<main class="uncertain">' if found.uncertain else "<main>",
        f"<header><h1>{escape(app)} on {escape(host)}</h1><time>{escape(at)}</time></header>",
        f'<div class="hero">{hero}</div>',
        notes,
        '<div class="cards">',
        _throughput(measured, found),
        _latency(measured, found),
        _memory(measured, found),
        _cpu(measured, found, result["machine"]["cpus"]),
        "</div>",
        f"<h2>Recommended variables</h2>\n<pre>{_variables(found)}</pre>",
        f'<h2>Figures</h2>\n<div class="wide">{_table(measured, found)}</div>',
        f'<h2>Method</h2>\n<p class="how">{escape(_how(result))}</p>',
        "</main>\n</body>\n</html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _throughput(measured: Sequence[Point], found: Recommendation) -> str:
    best = next(point for point in measured if point.workers == found.best).throughput
    chart = Chart(measured, found, max(value for point in measured for value in point.throughputs))
    top, bottom = chart.y(best), chart.y(best * (1 - TOLERANCE))
    inside = [
        f'<rect class="near" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{round(bottom - top, 1)}"/>',
        *chart.line("a", [point.throughput for point in measured]),
    ]
    for place, point in enumerate(measured):
        inside += [chart.dot("a", place, value, "round") for value in point.throughputs]
    inside += [chart.value(place, point.throughput, f"{point.throughput:.0f}") for place, point in enumerate(measured)]
    legend = f"requests/s; small dots: the rounds; band: {TOLERANCE:.0%} below the best"
    return _figure("Throughput", legend, chart.svg("Throughput over the number of workers", inside))


def _latency(measured: Sequence[Point], found: Recommendation) -> str:
    chart = Chart(measured, found, max(point.p99_ms for point in measured))
    inside = [
        *chart.line("a", [point.p50_ms for point in measured]),
        *chart.line("b", [point.p99_ms for point in measured]),
        *(chart.value(place, point.p99_ms, short(point.p99_ms)) for place, point in enumerate(measured)),
    ]
    legend = f"ms {_key('a', 'median')}{_key('b', '99th percentile')}"
    return _figure("Latency", legend, chart.svg("50th and 99th percentile over the number of workers", inside))


def _memory(measured: Sequence[Point], found: Recommendation) -> str:
    limit = int(found.variables["asgi_server_memory_max"].rstrip("M"))
    chart = Chart(measured, found, max(limit, *(point.slot_mb for point in measured)))
    inside = [text for place, point in enumerate(measured) for text in chart.stack(place, [("c", point.slot_mb)])]
    inside += [chart.value(place, point.slot_mb, str(point.slot_mb)) for place, point in enumerate(measured)]
    inside += chart.limit(limit, f"MemoryMax {limit} MiB")
    return _figure("Memory", "MiB of one slot (PSS)", chart.svg("Memory of a slot over the number of workers", inside))


def _cpu(measured: Sequence[Point], found: Recommendation, cpus: int) -> str:
    def shares(point: Point) -> list[tuple[str, float]]:
        return [("a", point.cpu["app"]), ("b", point.cpu["nginx"]), ("c", point.cpu["load"]), ("d", point.others)]

    chart = Chart(measured, found, max(cpus, *(sum(value for _c, value in shares(point)) for point in measured)))
    inside = [text for place, point in enumerate(measured) for text in chart.stack(place, shares(point))]
    inside += chart.limit(cpus, "all CPUs")
    keys = [_key("a", "app"), _key("b", "nginx"), _key("c", "load tool"), _key("d", "others")]
    return _figure("CPU", f"CPUs in use {''.join(keys)}", chart.svg("CPUs in use over the number of workers", inside))


def _key(colour: str, name: str) -> str:
    return f'<i style="background: var(--{colour})"></i>{name}'


def _figure(title: str, legend: str, svg: str) -> str:
    return f"<figure><figcaption>{title}<span>{legend}</span></figcaption>\n{svg}</figure>"


class Chart:
    """A chart with the numbers of workers on the x-axis, equally spaced because they need not be consecutive."""

    def __init__(self, measured: Sequence[Point], found: Recommendation, most: float) -> None:
        self.counts = [point.workers for point in measured]
        self.chosen = self.counts.index(found.workers)
        self.step = nice_step(most)
        self.top = self.step * math.ceil(max(most, self.step) * 1.04 / self.step)
        self.slot = (WIDTH - LEFT - RIGHT) / len(measured)

    def x(self, place: int) -> float:
        return round(LEFT + self.slot * (place + 0.5), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top, 1)

    def line(self, colour: str, values: Sequence[float]) -> list[str]:
        course = " ".join(f"{self.x(place)},{self.y(value)}" for place, value in enumerate(values))
        dots = [self.dot(colour, place, value) for place, value in enumerate(values)]
        return [f'<polyline class="line" stroke="var(--{colour})" points="{course}"/>', *dots]

    def dot(self, colour: str, place: int, value: float, kind: str = "") -> str:
        size = 3 if kind else 5
        return (
            f'<circle class="dot {kind}" fill="var(--{colour})" cx="{self.x(place)}" cy="{self.y(value)}" r="{size}"/>'
        )

    def stack(self, place: int, parts: Iterable[tuple[str, float]]) -> list[str]:
        """Return a stacked bar of the *parts*."""
        width, below, found = min(self.slot * 0.5, 54), 0.0, []
        for colour, value in parts:
            top, bottom = self.y(below + value), self.y(below)
            found.append(
                f'<rect fill="var(--{colour})" x="{round(self.x(place) - width / 2, 1)}" y="{top}" '
                f'width="{round(width, 1)}" height="{round(bottom - top, 1)}"/>'
            )
            below += value
        return found

    def value(self, place: int, value: float, text: str) -> str:
        return f'<text class="value" text-anchor="middle" x="{self.x(place)}" y="{round(self.y(value) - 10, 1)}">{text}</text>'

    def limit(self, value: float, name: str) -> list[str]:
        y = self.y(value)
        return [
            f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>',
            f'<text class="limit-name" x="{LEFT + 6}" y="{round(y - 5, 1)}">{name}</text>',
        ]

    def svg(self, title: str, inside: Iterable[str]) -> str:
        left, width = round(LEFT + self.slot * self.chosen, 1), round(self.slot, 1)
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{title}</title>',
            f'<rect class="chosen" x="{left}" y="{TOP - 12}" width="{width}" height="{HEIGHT - BOTTOM - TOP + 12}" rx="6"/>',
        ]
        for number in range(round(self.top / self.step) + 1):
            value = number * self.step
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text text-anchor="end" x="{LEFT - 8}" y="{round(y + 4, 1)}">{value:g}</text>')
        for place, count in enumerate(self.counts):
            kind = ' class="name"' if place == self.chosen else ""
            parts.append(
                f'<text{kind} text-anchor="middle" x="{self.x(place)}" y="{HEIGHT - BOTTOM + 18}">{count}</text>'
            )
        parts.append(f'<text text-anchor="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}">workers</text>')
        return "\n".join([*parts, *inside, "</svg>"])


def short(value: float) -> str:
    """Return *value* with a number of digits that fits a label: 0.412, 14.7, 928, 3908."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def nice_step(most: float) -> float:
    """Return a round step, so that an axis up to *most* has about TICKS ticks."""
    if most <= 0:
        return 1.0
    raw = most / TICKS
    magnitude = 10.0 ** math.floor(math.log10(raw))
    return next(magnitude * step for step in (1, 2, 2.5, 5, 10) if magnitude * step >= raw * 0.999)


def _variables(found: Recommendation) -> str:
    return "\n".join(
        f"<i># {escape(found.reasons[name])}</i>\n{name}: {escape(str(value))}"
        for name, value in found.variables.items()
    )


def _table(measured: Sequence[Point], found: Recommendation) -> str:
    def cells(texts: Iterable[str], kind: str) -> str:
        return "".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts)

    columns: dict[str, Callable[[Point], str]] = COLUMNS
    rows = "\n".join(
        f"<tr{' class=this' if point.workers == found.workers else ''}>"
        f"{cells((text(point) for text in columns.values()), 'td')}</tr>"
        for point in measured
    )
    return f"<table><thead><tr>{cells(columns, 'th')}</tr></thead>\n<tbody>{rows}</tbody></table>"


def _how(result: dict[str, Any]) -> str:
    load, machine = result["load"], result["machine"]
    return (
        f"{load['method']} {load['path']} of release {result['release']}, with {load['connections']} clients of {load['tool']}. Each "
        f"client sends the next request when it has received the response. The load tool ran on the host itself, which has "
        f"{machine['cpus']} CPUs and {machine['memory_mb']} MiB. The app ran in a separate slot beside the live one, behind a separate "
        f"nginx without TLS. {load['seconds']} s for each number of workers after {load['warmup']} s of warm-up, {load['rounds']} rounds, "
        "alternately up and down. The figures are medians of the rounds, and maxima for memory. The load tool competes with the app for "
        "the CPU, so the app alone handles slightly more requests."
    )
