# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IP addresses, networks and listen addresses in configuration files.

The module ipaddress accepts a scope id after ``%`` with any characters, including line breaks. nginx, HAProxy and keepalived do not
support scope ids where this collection writes an address, so these functions reject them.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole

_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+")
_NETWORK = re.compile(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?")
PORTS = range(1, 65536)


class Listener(NamedTuple):
    """Address and port of a socket."""

    address: IPv4Address | IPv6Address
    port: int


def address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse *text* as an address; return None if it is invalid or has a scope id."""
    try:
        return ip_address(text) if _ADDRESS.fullmatch(text) else None
    except ValueError:
        return None


def network(text: str) -> IPv4Network | IPv6Network | None:
    """Parse *text* as a network; return None if it is invalid.

    Host bits may be set, as in nginx. A netmask in dotted notation is invalid.
    """
    try:
        return ip_network(text, strict=False) if _NETWORK.fullmatch(text) else None
    except ValueError:
        return None


def listener(text: str) -> Listener | None:
    """Parse *text* as an address and a port, with brackets around an IPv6 address; return None if it is invalid."""
    host, _colon, port = text.rpartition(":")
    bracketed = re.fullmatch(r"\[([^\[\]]*)\]", host)
    found = address(bracketed[1] if bracketed else host)
    number = whole(port)
    if found is None or bool(bracketed) != (found.version == 6) or number not in PORTS:
        return None
    return Listener(found, number)
