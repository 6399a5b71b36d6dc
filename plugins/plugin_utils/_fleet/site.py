# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary of a playbook: the site of each host, the release that serves it, and whether the run changed anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned

COLUMNS = ("host", "site", "url", "release", "slot", "certificate", "changed")
ANSWERS = {"ok": "answers", "failed": "does not answer", "absent": "none yet", "skipped": "not checked"}
MAINTENANCE = "visitors get the maintenance page"


def site_row(host: str, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row of *host*. The first of *results* is the result of the site check; any of them may report a change."""
    checked = results[0] if results else {}
    site = checked.get("site") or {}
    notes = [*site.get("causes", []), *site.get("notes", []), *([MAINTENANCE] if site.get("maintenance") else [])]
    return {
        "host": host,
        "site": ANSWERS.get(site.get("verdict"), ANSWERS["skipped"]),
        "url": site.get("url") or "-",
        "release": checked.get("release") or "-",
        "slot": checked.get("slot") or "-",
        "certificate": _certificate(site.get("certificate")),
        "changed": "yes" if any(result.get("changed") for result in results) else "no",
        "notes": notes,
    }


def _certificate(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "-"
    days = found["days"]
    return f"{found['kind']}, {'expired' if days < 0 else f'{days} day' + ('' if days == 1 else 's')}"


def site_summary(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of *rows*, followed by each cause or note with its hosts."""
    if not rows:
        return ["no hosts are left in the play"]
    lines = aligned([COLUMNS, *(tuple(row[column] for column in COLUMNS) for row in rows)])
    for note in dict.fromkeys(note for row in rows for note in row["notes"]):
        lines.append(f"{', '.join(row['host'] for row in rows if note in row['notes'])}: {note}")
    return lines
