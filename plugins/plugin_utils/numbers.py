# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that are given with ``-e name=value`` more often than not, which makes a text of everything."""

from __future__ import annotations

from typing import Any


def whole(value: Any) -> int | None:
    """Return the whole number of at least 0 that *value* is, or is the text of; None if it is none."""
    if isinstance(value, bool):
        return None
    try:
        text = str(value)
        return int(text) if text.isdecimal() else None
    except ValueError:
        # Python reads and writes no more than some thousand digits
        return None
