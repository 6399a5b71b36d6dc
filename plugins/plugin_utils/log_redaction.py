# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How nginx keeps the secrets in a request's query out of its log: regular expressions for its ``map``.

A ``map`` replaces one value, so a few stand in a row, each for the next secret, and the last one gives up the whole
query if there are still more. Only a request that has a secret goes through the row; all others cost one expression.

What counts as a secret, by the parameter's name, in upper and lower case:

* one of the given names, also as a part of a structured one: ``password``, ``user[password]``, ``user.password[]``;
* any name with a letter, digit, ``-``, ``.``, ``_`` or ``~`` in it that is percent-encoded. No client has a reason to encode those
  (RFC 3986, 2.3, unreserved characters), and every app decodes them;
* any name that is longer than names are. To look into it would take time that grows with the square of its length, and a
  client may send 8 KiB.

A parameter begins after ``?``, ``&``, ``;`` and ``#``, wherever they stand, and its value goes up to the next ``&``:
apps differ in what they split at, and too much is left out rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}")

LONGEST = 128
"""Characters of a name that is looked into."""

STEPS = 3
"""So many secrets of one request are replaced singly."""

LIMIT = 2000
"""Characters that the names may have together: nginx takes no word of more than 4 KiB."""

_ENCODED = r"%(?:2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)"


class Expressions(NamedTuple):
    """What nginx compares a request's target with, each quoted as a key of a ``map``."""

    any: str
    """Matches a target with a secret."""
    first: str
    """Matches one with a secret that is not replaced yet; ``asgi_before`` and ``asgi_after`` are what is around its value."""
    rest: str
    """The same; ``asgi_path`` is what is before the query."""


def expressions(names: Iterable[str]) -> Expressions:
    """Return the expressions that find the parameters *names*; raise ValueError for what is no name of a parameter."""
    names = list(names)
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is not the name of a query parameter as it is sent: letters, digits, '-', '.', '_' and '~'"
            )
    if sum(len(name) + 1 for name in names) > LIMIT:
        raise ValueError(f"the names have more than {LIMIT} characters together")
    listed = "|".join(name.replace(".", r"\.") for name in sorted(set(names)))
    inside = rf"[^=&;#?]{{0,{LONGEST}}}"
    named = rf"(?:{inside}(?:[\[.]|%5B))?(?:{listed})(?:(?:[\[\].]|%5[BD]){inside})?" if names else r"(?!)"
    secret = rf"[?&;#](?:{named}|{inside}{_ENCODED}{inside}|[^=&;#?]{{{LONGEST + 1},}})="
    shown = r"(?![*]{3}(?:&|$))"
    return Expressions(
        any=_key(secret),
        first=_key(rf"^(?<asgi_before>.*?{secret}){shown}[^&]*(?<asgi_after>.*)$"),
        rest=_key(rf"^(?<asgi_path>[^?;#]*).*?{secret}{shown}"),
    )


def _key(expression: str) -> str:
    """Return *expression* as the key of a ``map`` that ignores case."""
    escaped = expression.replace("\\", "\\\\").replace('"', '\\"')
    return f'"~*{escaped}"'
