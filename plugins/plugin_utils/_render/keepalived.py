# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that values are single words in keepalived's configuration."""

from __future__ import annotations

import re

# Excludes quotes, comments (! and #), definitions ($), conditions (@), continuation lines (\) and lists (~ and braces).
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")


def word(text: object) -> str:
    """Return *text* if keepalived reads it as one word; otherwise raise ValueError.

    The message does not contain the value, which may be the password.
    """
    text = str(text)
    if not _WORD.fullmatch(text):
        raise ValueError("a value contains characters other than letters, digits, '.', '_', ':', '/' and '-'")
    return text
