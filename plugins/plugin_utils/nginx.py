# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's own grammar, where a value of the user's gets into it."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def quote(text: object) -> str:
    """Return *text* as a literal of nginx's configuration; raise ValueError if nginx cannot write it."""
    text = str(text)
    if "$" in text:
        raise ValueError(f"{text!r} holds a '$', which nginx would take for a variable")
    if _CONTROL.search(text):
        raise ValueError(f"{text!r} holds a line end or another control character")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
