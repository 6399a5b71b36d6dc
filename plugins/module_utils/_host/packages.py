# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed Debian packages of a host. Reading the files of dpkg and apt takes only milliseconds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text

DATABASE = "var/lib/dpkg"
STATUS = "var/lib/dpkg/status"  # stanzas of fields, deb-control(5)
UPDATES = "var/lib/dpkg/updates"  # updates that dpkg has not yet merged into STATUS
EXTENDED = "var/lib/apt/extended_states"  # packages that were installed as a dependency, apt-mark(8)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the single-line fields of each stanza."""
    for stanza in text.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(": ")
            if colon and not line[0].isspace():
                fields[name] = value
        if fields:
            yield fields


def installed(status: str, extended: str = "") -> set[str]:
    """Return the names of the packages that are fully installed, match the host's architecture, and are marked as manually installed.

    Packages that were installed as a dependency are excluded, because a later autoremove may remove them.
    """
    found = {}
    for fields in stanzas(status):
        if fields.get("Status", "").endswith(" installed"):
            found.setdefault(fields.get("Package", ""), set()).add(fields.get("Architecture", ""))
    native = found.get("dpkg", set()) | {"all"}
    automatic = {fields.get("Package") for fields in stanzas(extended) if fields.get("Auto-Installed") == "1"}
    return {name for name, architectures in found.items() if architectures & native} - automatic


class Unsupported(Reported):
    """The distribution of the host is not supported."""


def missing(wanted: list, root: str = "/") -> list:
    """Return the packages in *wanted* that may be missing. Entries other than plain names, such as ``python3=3.11*``, always may be.

    Raises Unsupported for a distribution that does not have Debian's packages, because its paths and accounts differ, too.
    """
    if wanted and not os.path.isdir(os.path.join(root, DATABASE)):
        name = re.search(r'(?m)^PRETTY_NAME="?([^"\n]+)', read_text(os.path.join(root, "etc/os-release")) or "")
        raise Unsupported(
            f"this host runs {name[1] if name else 'an unknown distribution'}, which does not have Debian's packages (dpkg); nothing has "
            "been changed -> use a host with Debian or a derivative, such as Ubuntu"
        )
    if not os.path.isdir(os.path.join(root, UPDATES)) or os.listdir(os.path.join(root, UPDATES)):
        return list(wanted)
    present = installed(*(read_text(os.path.join(root, path)) or "" for path in (STATUS, EXTENDED)))
    return [name for name in wanted if name not in present]
