# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network interfaces of this host, and the state of its keepalived."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Callable

INTERFACES = "/sys/class/net"

_STATE = re.compile(r"\(\w+\) Entering (\w+) STATE")
_COMPLAINT = re.compile(
    r"error|fail|fault|unable|cannot|not (permitted|found|exist)|refus|returning [1-9]|warning", re.IGNORECASE
)
# Parts that differ between otherwise equal lines.
_NUMBERS = re.compile(r", seq=\d+, pid=\d+")


def parse_addresses(output: str) -> dict[str, list[str]]:
    """Return the addresses by network interface, each with its prefix length, from ``ip -json address``."""
    try:
        found = json.loads(output or "[]")
    except ValueError:
        return {}
    return {
        each["ifname"]: [
            f"{address['local']}/{address['prefixlen']}" for address in each.get("addr_info", []) if "local" in address
        ]
        for each in found
        if "ifname" in each
    }


def interfaces(run_command: Callable) -> dict[str, list[str]]:
    """Return the addresses of this host by network interface; without iproute2, each interface has an empty list."""
    status, out, _err = run_command(["ip", "-json", "address", "show"])
    found = {} if status else parse_addresses(out)
    if not found:
        with contextlib.suppress(OSError):
            found = {name: [] for name in sorted(os.listdir(INTERFACES))}
    return found


def local_addresses(fib_trie: str) -> set[str]:
    """Return the IPv4 addresses of this host, from the text of /proc/net/fib_trie."""
    return set(re.findall(r"\|-- ([\d.]+)\n\s+/32 host LOCAL$", fib_trie, re.MULTILINE))


def parse_state(journal: str) -> str:
    """Return the last state that keepalived entered according to the *journal*, "" if it has not entered one yet."""
    found = _STATE.findall(journal)
    return found[-1] if found else ""


def complaints(journal: str) -> list[str]:
    """Return the last lines in keepalived's *journal* that may contain the cause of a failure, without duplicates."""
    lines = [_NUMBERS.sub("", line.strip()) for line in journal.splitlines() if _COMPLAINT.search(line)]
    return list(dict.fromkeys(lines))[-4:]
