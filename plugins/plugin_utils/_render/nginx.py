# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Literals in nginx's configuration."""

from __future__ import annotations

import re

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.characters import refused_character

_WORD = re.compile(r"""[!%-&(-:<-\[\]-z|~][!#%-&(-:<-\[\]-z|~]*""")

# Each literal must fit into nginx's read buffer of 4096 bytes.
LONGEST = 4000


def quote(text: object) -> str:
    """Return *text* as a quoted literal; raise ValueError if nginx cannot represent it."""
    text = str(text)
    if "$" in text:
        raise ValueError(f"{text!r} contains a '$', which nginx would interpret as a variable")
    character = refused_character(text)
    if character:
        raise ValueError(f"{text!r} contains {character!r}, a line break or another control character")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return _short(f'"{escaped}"')


def word(text: object) -> str:
    """Return *text* if nginx reads it as one word without quotes; otherwise raise ValueError."""
    text = str(text)
    if not _WORD.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a word that nginx reads literally: it must not contain spaces, ; {{ }} $ \\ or quotes"
        )
    return _short(text)


def _short(literal: str) -> str:
    if len(literal.encode()) > LONGEST:
        raise ValueError(
            f"a literal of {len(literal)} characters, starting with {literal[:20]!r}, is too long for nginx"
        )
    return literal
