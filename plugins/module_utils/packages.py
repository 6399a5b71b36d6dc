# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Debian packages a host has, by what dpkg and apt have written down: a question of milliseconds."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ansible_collections.asgi.deploy.plugins.module_utils.files import read_text

STATUS = "var/lib/dpkg/status"  # stanzas of fields, deb-control(5)
UPDATES = "var/lib/dpkg/updates"  # what dpkg has not yet merged into it
EXTENDED = "var/lib/apt/extended_states"  # which of them came as a dependency, apt-mark(8)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each stanza that stand in one line."""
    for stanza in text.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(": ")
            if colon and not line[0].isspace():
                fields[name] = value
        if fields:
            yield fields


def installed(status: str, extended: str = "") -> set[str]:
    """Return the names of packages that are installed whole, for the host's architecture, because somebody wanted them.

    Not those that came as a dependency of others: a later autoremove takes these away.
    """
    found = {}
    for fields in stanzas(status):
        if fields.get("Status", "").endswith(" installed"):
            found.setdefault(fields.get("Package", ""), set()).add(fields.get("Architecture", ""))
    native = found.get("dpkg", set()) | {"all"}
    automatic = {fields.get("Package") for fields in stanzas(extended) if fields.get("Auto-Installed") == "1"}
    return {name for name, architectures in found.items() if architectures & native} - automatic


def missing(wanted: list, root: str = "/") -> list:
    """Return those of *wanted* that only apt can tell of: not installed, or no plain name, as in ``python3=3.11*``."""
    if not os.path.isdir(os.path.join(root, UPDATES)) or os.listdir(os.path.join(root, UPDATES)):
        return list(wanted)
    there = installed(*(read_text(os.path.join(root, path)) or "" for path in (STATUS, EXTENDED)))
    return [name for name in wanted if name not in there]
