# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on all hosts, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable

COLUMNS = (
    "host",
    "app",
    "slot",
    "release",
    "state",
    "workers",
    "rollback to",
    "certificate",
    "since",
    "why so many workers",
)


def rows(hosts: Iterable[str], found: Iterable[dict]) -> list[dict]:
    """Return one row for each app of each host, from what app_info returned for each host."""
    return [{"host": host, **app} for host, answer in zip(hosts, found, strict=True) for app in answer.get("apps", [])]


def as_json(rows: list[dict]) -> str:
    return json.dumps(rows, indent=2, sort_keys=True)


def as_table(rows: list[dict]) -> str:
    """Return an aligned table of text."""
    if not rows:
        return "no app is deployed on these hosts"
    lines = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cells(row: dict) -> tuple[str, ...]:
    days = row.get("certificate_days")
    return (
        row["host"],
        row["name"],
        row.get("slot") or "-",
        row.get("release") or "-",
        row.get("state") or "-",
        str(row.get("workers", 0)),
        row.get("previous") or "-",
        "-" if days is None else f"{days} days",
        _minute(row.get("since")),
        row.get("plan") or "-",
    )


def _minute(timestamp: str | None) -> str:
    """Return systemd's timestamp, ``Sat 2026-11-21 00:46:28 UTC``, to the minute."""
    parts = (timestamp or "").split()
    return f"{parts[1]} {parts[2][:5]}" if len(parts) == 4 else "-"
