# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of the doctor's verdicts, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import LEVELS


def rows(hosts: Iterable[str], results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each verdict on each host, from the results of the module doctor."""
    return [
        {"host": host, "app": result["observations"]["name"], **verdict}
        for host, result in zip(hosts, results, strict=True)
        for verdict in result.get("verdicts", [])
    ]


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2)


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return a text table of the verdicts for each app on each host, the worst verdicts first."""
    if not rows:
        return "no host was examined"
    lines = []
    width = max(len(row["check"]) for row in rows)
    indent = f"  {'':4}  {'':{width}}  "
    for host, app in dict.fromkeys((row["host"], row["app"]) for row in rows):
        of_app = [row for row in rows if (row["host"], row["app"]) == (host, app)]
        counts = [f"{sum(row['verdict'] == level for row in of_app)} {level}" for level in LEVELS]
        lines.append(f"{host} {app}: {', '.join(counts)}")
        for row in sorted(of_app, key=lambda row: -LEVELS.index(row["verdict"])):
            first, *others = row["found"].splitlines() or [""]
            lines.append(f"  {row['verdict']:4}  {row['check']:{width}}  {first}".rstrip())
            lines += [f"{indent}{line}" for line in others]
            if row["remedy"]:
                lines.append(f"{indent}-> {row['remedy']} [{row['code']}]")
    return "\n".join(lines)
