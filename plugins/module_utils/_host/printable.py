# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Escape control characters in text from a host, because Ansible prints text unchanged.

Exceptions and output of an app, file names and certificates may contain escape sequences that clear the screen, forge lines, write
to the clipboard or, in some terminals, run commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Characters that move the cursor, change the state of the terminal or the order of characters, or have no width: C0 except newline
# and tab, DEL, C1, soft hyphen, zero-width characters and marks, line and paragraph separators, embeddings, overrides and isolates,
# invisible operators, annotations, surrogates, and tags. Joined emoji appear as their parts. Letters and digits of all scripts are
# unchanged.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(value: Any) -> Any:
    """Return *value*, a string or a JSON-like structure, with the unprintable characters of all strings escaped, as in ``\\x1b``.

    Newlines and tabs are unchanged. Escaping is idempotent.
    """
    if isinstance(value, str):
        return value if value.isprintable() else _UNPRINTABLE.sub(_escape, value)
    if isinstance(value, Mapping):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(item) for item in value]
    return value


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
