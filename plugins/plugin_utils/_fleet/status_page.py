# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status report as a self-contained HTML page, without scripts, fonts or images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import minute
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status import (
    ASPECTS,
    MARK,
    NO_ANSWER,
    PACKAGES,
    Row,
    certificate_text,
    columns,
    holders,
    machine_count,
    marks,
    value_text,
    verdict,
)

# Number of colours that are distinguishable with colour blindness, in light and dark mode. Further releases share the last colour.
RELEASE_COLOURS = 6

# shown instead of a release for a host without one
NOTHING = "nothing"

# aspects that are usually the same on all hosts, with their labels; the tile of a host shows them only if the host differs
SHOWN_ONCE = {"workers": "workers", "config": "configuration", "python": "Python", **{name: name for name in PACKAGES}}

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #fff; --ink: #1b2430; --soft: #5d6b7c; --line: #dde2e9;
  --good: #137a4b; --good-ground: #e2f5ea; --odd: #8a5300; --odd-ground: #fff1d6; --odd-line: #e0a13a;
  --bad: #b3261e; --bad-ground: #fde8e6;
  --r0: #2f6fde; --r1: #d9822b; --r2: #7b4fc9; --r3: #12918c; --r4: #c2417f; --r5: #76828f;
  --blue: #2f6fde; --green: #1c9a5b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10151c; --card: #19212b; --ink: #e6ebf2; --soft: #96a4b5; --line: #2b3644;
    --good: #5fd39b; --good-ground: #12301f; --odd: #f3bd63; --odd-ground: #3a2a0d; --odd-line: #a8742099;
    --bad: #ff9087; --bad-ground: #421815;
    --r0: #6ea0ff; --r1: #f0a357; --r2: #a98af0; --r3: #46c2bc; --r4: #ee7fb0; --r5: #8f9baa;
    --blue: #6ea0ff; --green: #4ecb8d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; }
h1 { font-size: 22px; margin: 0; }
header time { color: var(--soft); margin-left: auto; }
.verdict { margin: 16px 0 0; padding: 14px 18px; border-radius: 10px; font-size: 18px; font-weight: 600; }
.verdict.good { color: var(--good); background: var(--good-ground); }
.verdict.odd { color: var(--odd); background: var(--odd-ground); }
.verdict.bad { color: var(--bad); background: var(--bad-ground); }
section { margin-top: 36px; }
h2 { font-size: 18px; margin: 0 0 10px; }
h2 small { font-weight: 400; color: var(--soft); font-size: 14px; margin-left: 8px; }
.bar { display: flex; gap: 2px; height: 12px; border-radius: 6px; overflow: hidden; }
.bar i { background: var(--c); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 8px 0 14px; padding: 0; list-style: none; }
.legend li::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 3px;
  background: var(--c); margin-right: 7px; }
.legend li.none::before { background: none; border: 1px solid var(--line); }
.legend span, .usual { color: var(--soft); }
.usual { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: -4px 0 16px; padding: 0; list-style: none; font-size: 13px; }
.usual b { color: var(--ink); font-weight: 500; }
code, .release { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; }
.hosts { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px; }
.host { background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--c); border-radius: 8px;
  padding: 10px 12px 11px; min-width: 0; }
.host.odd { border-color: var(--odd-line) var(--odd-line) var(--odd-line) var(--c); }
.host.bad { background: var(--bad-ground); border-color: var(--bad); }
.host h3 { display: flex; font-size: 15px; margin: 0; gap: 8px; align-items: baseline; }
.host h3 span:first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.slot { margin-left: auto; font-weight: 400; font-size: 12px; color: var(--soft); white-space: nowrap; }
.slot::before { content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; margin-right: 5px; }
.slot.blue::before { background: var(--blue); }
.slot.green::before { background: var(--green); }
.release { margin: 2px 0 6px; overflow-wrap: anywhere; }
.host dl { display: grid; grid-template-columns: auto 1fr; gap: 0 10px; margin: 0; font-size: 13px; }
.host dt { color: var(--soft); }
.host dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.differs { color: var(--odd); background: var(--odd-ground); border-radius: 4px; padding: 0 5px; font-weight: 600; }
.fault { color: var(--bad); font-weight: 600; margin: 6px 0 0; font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
.differences { margin-top: 20px; }
.differences td:first-child { white-space: nowrap; }
details { margin-top: 40px; }
summary { cursor: pointer; color: var(--soft); }
.wide { overflow-x: auto; margin-top: 10px; }
.wide td { white-space: nowrap; }
"""


def as_page(report: dict[str, Any], at: str) -> str:
    """Return the page; *at* is the time of the query."""
    listed: list[Row] = report["apps"]
    odd = marks(report)
    apps = list(dict.fromkeys(row["name"] for row in listed if row["name"]))
    tone = "bad" if report["troubles"] else "good" if report["agree"] else "odd"
    title = verdict(report) if listed else "no app is deployed on these hosts"
    unreachable = [row for row in listed if row["state"] == NO_ANSWER]
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<header><h1>Live releases</h1><time>{escape(at)}</time></header>",
        f'<p class="verdict {tone}">{escape(title)}</p>',
        _no_answer(unreachable),
        *(_app(app, [row for row in listed if row["name"] == app], report, odd) for app in apps),
        _table(listed, odd),
        "</main>\n</body>\n</html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _app(app: str, rows: list[Row], report: dict[str, Any], odd: set[tuple[str, str, str]]) -> str:
    ranked = Counter(row["release"] for row in rows if row.get("release")).most_common()
    colours = {release: f"--c: var(--r{min(rank, RELEASE_COLOURS - 1)})" for rank, (release, _n) in enumerate(ranked)}
    faults = {each["host"]: each["fault"] for each in report["troubles"] if each["app"] == app}
    shares = "".join(f'<i style="{colours[release]}; flex: {number}"></i>' for release, number in ranked)
    legend = "".join(
        f'<li style="{colours[release]}"><code>{escape(release)}</code> '
        f"<span>{machine_count(row for row in rows if row.get('release') == release)}</span></li>"
        for release, _number in ranked
    )
    # hosts without a release are not part of the release bar
    if without := [row for row in rows if not row.get("release")]:
        legend += f'<li class="none">{NOTHING} <span>{machine_count(without)}</span></li>'
    release_bar = f'<div class="bar">{shares}</div>\n' if ranked else ""
    tiles = "\n".join(_tile(row, colours.get(row.get("release"), "--c: var(--line)"), odd, faults) for row in rows)
    usual = "".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in _usual(rows))
    differing = [each for each in report["differences"] if each["app"] == app]
    return (
        f"<section>\n<h2>{escape(app)}<small>{machine_count(rows)}</small></h2>\n"
        f'{release_bar}<ul class="legend">{legend}</ul>\n<ul class="usual">{usual}</ul>\n'
        f'<div class="hosts">\n{tiles}\n</div>\n{_differences(differing)}</section>'
    )


def _usual(rows: list[Row]) -> list[tuple[str, str]]:
    """Return the most common values of the aspects that the tiles of the hosts do not show."""
    found = []
    for aspect, value_of in ASPECTS.items():
        values = [str(value) for value in map(value_of, rows) if value is not None]
        if aspect in SHOWN_ONCE and values:
            found.append((SHOWN_ONCE[aspect], Counter(values).most_common(1)[0][0]))
    return found


def _tile(row: Row, colour: str, odd: set[tuple[str, str, str]], faults: dict[str, str]) -> str:
    """Return the tile of a host: release, start and certificate, and aspects in which the host differs from most other hosts."""
    differing = [aspect for app, host, aspect in odd if (app, host) == (row["name"], row["host"])]
    facts = [("since", escape(minute(row.get("since")))), ("certificate", escape(certificate_text(row)))]
    for aspect, label in SHOWN_ONCE.items():
        if aspect in differing:
            facts.append((label, f'<span class="differs">{escape(value_text(ASPECTS[aspect](row)))}</span>'))
    if "certificate" in differing:
        facts[1] = ("certificate", f'<span class="differs">{facts[1][1]}</span>')
    release = escape(row.get("release") or NOTHING)
    if "release" in differing:
        release = f'<span class="differs">{release}</span>'
    fault = faults.get(row["host"], "")
    tone = "bad" if fault else "odd" if differing else ""
    slot = f'<span class="slot {escape(row["slot"])}">{escape(row["slot"])}</span>' if row.get("slot") else ""
    return (
        f'<article class="host {tone}" style="{colour}"><h3><span title="{escape(row["host"])}">{escape(row["host"])}</span>'
        f'{slot}</h3><p class="release">{release}</p>'
        f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{text}</dd>' for name, text in facts)}</dl>"
        f"{f'<p class=fault>{escape(fault)}</p>' if fault else ''}</article>"
    )


def _differences(differing: Iterable[dict[str, Any]]) -> str:
    lines = [
        f"<tr><td>{escape(each['aspect']) if first else ''}</td><td><code>{escape(value)}</code></td>"
        f"<td>{escape(holders(hosts))}</td></tr>"
        for each in differing
        for first, (value, hosts) in zip([True, *[False] * len(each["values"])], each["values"].items(), strict=False)
    ]
    if not lines:
        return ""
    return (
        '<table class="differences"><thead><tr><th>differs in</th><th>value</th><th>hosts</th></tr></thead>\n'
        f"<tbody>{''.join(lines)}</tbody></table>\n"
    )


def _no_answer(rows: list[Row]) -> str:
    if not rows:
        return ""
    tiles = "".join(
        f'<article class="host bad"><h3>{escape(machine)}</h3><p class="fault">did not answer</p></article>'
        for machine in dict.fromkeys(row["machine"] for row in rows)
    )
    return f'<section><h2>No answer<small>{machine_count(rows)}</small></h2><div class="hosts">{tiles}</div></section>'


def _table(rows: list[Row], odd: set[tuple[str, str, str]]) -> str:
    if not rows:
        return ""

    def cell(row: Row, aspect: str, text: str) -> str:
        marked = (row["name"], row["host"], aspect) in odd
        return f'<td><span class="differs">{escape(text)}{MARK}</span></td>' if marked else f"<td>{escape(text)}</td>"

    shown = columns(rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in shown)
    lines = "\n".join(
        f"<tr>{''.join(cell(row, aspect, text(row)) for aspect, text in shown.values())}</tr>" for row in rows
    )
    return (
        f'<details><summary>All values as a table</summary><div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div></details>"
    )
