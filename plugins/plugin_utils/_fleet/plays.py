# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations of the plays of a run."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned


class Step(NamedTuple):
    """A task of a play, with the seconds until the next task or the end of the play."""

    name: str
    seconds: float


class Play(NamedTuple):
    """A play of a run. Its seconds include the time before the first task."""

    name: str
    seconds: float
    steps: list[Step]


def report(plays: list[Play], slowest: int) -> list[str]:
    """Return a table of the plays with their tasks, seconds and a total. *slowest* is the number of slow tasks to list for each play."""
    tasks, seconds = sum(len(play.steps) for play in plays), sum(play.seconds for play in plays)
    rows = [["play", "tasks", "seconds"]]
    for play in plays:
        rows.append([_one_line(play.name), str(len(play.steps)), f"{play.seconds:.1f}"])
        ranked = sorted(play.steps, key=lambda step: step.seconds, reverse=True)
        rows += [[f"  {_one_line(step.name)}", "", f"{step.seconds:.1f}"] for step in ranked[: max(slowest, 0)]]
    rows.append(["total", str(tasks), f"{seconds:.1f}"])
    return aligned(rows)


def _one_line(name: str) -> str:
    """Return *name* on one line; YAML allows a name to span several."""
    return " ".join(name.split())
