# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect line breaks and control characters in values that must be one line of text."""

from __future__ import annotations

import unicodedata

# Control characters, surrogates (which UTF-8 cannot encode), and Unicode line and paragraph separators.
_REFUSED = frozenset(["Cc", "Cs", "Zl", "Zp"])
LINE_ENDS = "\t\n\r"


def refused_character(text: str, allowed: str = "") -> str | None:
    """Return the first character of *text* that is rejected in values and not *allowed*; None if there is none."""
    # Fast path: nearly all values are printable.
    if text.isprintable():
        return None
    return next((each for each in text if each not in allowed and unicodedata.category(each) in _REFUSED), None)


def one_line(text: object) -> str:
    """Return *text*; raise ValueError if it is not one line of printable text."""
    text = str(text)
    if not text.isprintable():
        raise ValueError(f"{text!r} contains line breaks or other unprintable characters")
    return text
