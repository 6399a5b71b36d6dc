# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render nginx's file of users and password hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import itemgetter

USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
# Output of openssl passwd, optionally with a number of rounds within the limits of crypt(5).
PASSWORD_HASH = re.compile(
    r"\$(?:[56]\$(?:rounds=(?P<rounds>[0-9]{1,9})\$)?|apr1\$)[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{4,86}"
)


def render(users: Mapping[str, str]) -> str:
    """Return the file for *users*, which maps names to hashes; raise ValueError for a value that would add a line or field.

    The message never contains the hash, because the value may be a password.
    """
    lines = []
    for name, hashed in users.items():
        if not USER.fullmatch(str(name)):
            raise ValueError(f"{name!r} is not a valid user name")
        if not PASSWORD_HASH.fullmatch(str(hashed)):
            raise ValueError(f"the value for {name!r} is not a password hash")
        lines.append((str(name).lower(), f"{name}:{hashed}\n"))
    return "".join(line for _name, line in sorted(lines, key=itemgetter(0)))
