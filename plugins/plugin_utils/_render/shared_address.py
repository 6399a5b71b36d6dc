# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of keepalived on which all apps of a load balancer must agree."""

from __future__ import annotations

import re

VARIABLES = "asgi_balancer_virtual_ip, asgi_balancer_interface, asgi_balancer_router_id and asgi_balancer_peers"


def keepalived_disagreements(current: str, wanted: str) -> list[str]:
    """Return the differences between *current*, the text of keepalived.conf, and *wanted*, its text for an app, without the password.

    Balancers with different passwords ignore each other's VRRP packets, so both would hold the address. Older versions did not
    record the settings in the file; then only the passwords are compared.
    """
    found = []
    old, new = (_first(r"# Agreed: (.*)", text) for text in (current, wanted))
    if old not in ("", new):
        found.append(f"({old}), where this app has ({new}), in {VARIABLES}")
    old, new = (_first(r" *auth_pass (.*)", text) for text in (current, wanted))
    if old not in ("", new):
        found.append("another asgi_balancer_vrrp_password than this app")
    return found


def _first(pattern: str, text: str) -> str:
    found = re.search(f"^{pattern}$", text, re.MULTILINE)
    return found[1] if found else ""
