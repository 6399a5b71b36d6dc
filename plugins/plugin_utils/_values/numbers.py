# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Integers that may be strings, because ``-e name=value`` always sets a string."""

from __future__ import annotations

import re
from typing import Any


def whole(value: Any) -> int | None:
    """Return *value* as an integer if it is a non-negative integer or a string that contains one; otherwise None."""
    if isinstance(value, bool):
        return None
    try:
        text = str(value)
        return int(text) if re.fullmatch("[0-9]+", text) else None
    except ValueError:
        # Python cannot convert more than 4300 digits.
        return None
