# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of text for terminals and logs."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return *rows*, the headings first, as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def minute(timestamp: str | None) -> str:
    """Return a timestamp of systemd, such as ``Sat 2026-11-21 00:46:28 UTC``, to the minute; ``-`` if there is none."""
    parts = (timestamp or "").split()
    return f"{parts[1]} {parts[2][:5]}" if len(parts) == 4 else "-"
