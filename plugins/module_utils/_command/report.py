# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of the host command: the state of an app and its releases, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned, minute

# what a rollback to an entry of the release log requires
ROLLBACKS = {"default": "next", "release": "by id", "allow-bad": "by id, allow bad", None: ""}
REASON_LENGTH = 100
HEADINGS = ("release", "config", "activated", "by", "result", "rollback", "note")


def status_lines(found: dict[str, Any]) -> list[str]:
    """Return the lines about *found*, the result of app_status.describe()."""
    days, plan = found["certificate_days"], found["plan"]
    rows = [
        ("app", found["name"]),
        ("release", found["release"] or "none is live"),
        ("slot", found["slot"] or "-"),
        ("state", found["state"]),
        ("since", minute(found["since"])),
        ("workers", f"{found['workers']}{f' (plan: {plan})' if plan else ''}"),
        ("python", found["python"] or "-"),
        ("config", found["config"] or "-"),
        ("rollback to", found["previous"] or "-"),
        ("certificate", "-" if days is None else f"expires in {days} days" if days >= 0 else "expired"),
    ]
    rows += [(process["kind"], _process(process)) for process in found["processes"]]
    if found["log_fault"]:
        rows.append(("problem", found["log_fault"]))
    return aligned(rows)


def _process(found: dict[str, Any]) -> str:
    """Describe a process or timer, an entry of ProcessSlots.process_report()."""
    parts = [f"{found['unit']} is {found['state']} since {minute(found['since'])}"]
    if found["restarts"]:
        parts.append(f"restarted {found['restarts']} times{', in a loop' if found['loops'] else ''}")
    if found["result"] not in ("success", ""):
        parts.append(f"last result: {found['result']}")
    if "last_success" in found:
        parts.append(f"last success: {found['last_success'] or 'none'}")
    return ", ".join(parts)


def release_lines(releases: Iterable[dict[str, Any]], staged: str | None = None) -> list[str]:
    """Return the lines about *releases*, the result of app_status.releases(), and about the release that is *staged*."""
    listed = list(releases)
    lines = aligned([HEADINGS, *map(release_cells, listed)])
    if not listed:
        lines = ["no release has been activated on this host"]
    if staged and not any(entry["release"] == staged for entry in listed):
        lines.append(f"{staged} is staged, and has never been activated")
    return lines


def release_cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells below HEADINGS of *entry*, an entry of the release log."""
    at, reason = entry.get("at") or "-", (entry.get("reason") or "").splitlines()
    note = "by a rollback" if entry.get("rollback") else "rolled back" if entry.get("withdrawn") else ""
    note = reason[0] if reason else note
    return (
        entry["release"],
        entry["config"],
        at[:16].replace("T", " "),
        entry.get("by") or "-",
        entry["result"],
        ROLLBACKS[entry["rollback_target"]],
        f"{note[:REASON_LENGTH]}..." if len(note) > REASON_LENGTH else note,
    )
