# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plays of a run took."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils.text_table import aligned


class Step(NamedTuple):
    """One task of a play, and the seconds from its beginning to that of what came next."""

    name: str
    seconds: float


class Play(NamedTuple):
    """One play of a run; what its seconds have beyond those of its tasks went by before the first."""

    name: str
    seconds: float
    steps: list[Step]


def report(plays: list[Play], slowest: int) -> list[str]:
    """Return lines that tell of each play its tasks, its seconds, and the *slowest* tasks; and of the whole run."""
    tasks, seconds = sum(len(play.steps) for play in plays), sum(play.seconds for play in plays)
    rows = [["play", "tasks", "seconds"]]
    for play in plays:
        rows.append([_line(play.name), str(len(play.steps)), f"{play.seconds:.1f}"])
        ranked = sorted(play.steps, key=lambda step: step.seconds, reverse=True)
        rows += [[f"  {_line(step.name)}", "", f"{step.seconds:.1f}"] for step in ranked[: max(slowest, 0)]]
    rows.append(["in all", str(tasks), f"{seconds:.1f}"])
    return aligned(rows)


def _line(name: str) -> str:
    """Return *name*, which YAML may have on several lines, on one."""
    return " ".join(name.split())
