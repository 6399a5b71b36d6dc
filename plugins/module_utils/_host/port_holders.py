# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the program that holds a port on this host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._host.daemon_files import (
    TCP_LISTEN,
    UDP_UNCONNECTED,
    listening_sockets,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link, read_text

PROCESSES = Path("/proc")


def port_faults(tcp: Iterable[int], udp: Iterable[int], main_pid: int, unit: str) -> list[tuple[int, str]]:
    """Return (port, message) for each port held by a program other than *unit*, whose main process is *main_pid*."""
    return [
        (port, f"{name.format(port)} of this host is held by {program} (process {pid}), not by {unit}")
        for protocol, name, state, ports in (
            ("tcp", "port {}", TCP_LISTEN, tcp),
            ("udp", "UDP port {}", UDP_UNCONNECTED, udp),
        )
        for port, pid, program in _held(protocol, state, ports, main_pid)
    ]


def _held(protocol: str, state: str, ports: Iterable[int], main_pid: int) -> Iterator[tuple[int, int, str]]:
    sockets: dict[int, set[str]] = {}
    for table in (PROCESSES / "net" / protocol, PROCESSES / "net" / f"{protocol}6"):
        for port, inodes in listening_sockets(read_text(str(table)) or "", state).items():
            sockets.setdefault(port, set()).update(inodes)
    for port in ports:
        # Fast path: the daemon itself nearly always holds its ports.
        if port not in sockets or (main_pid and _holds(PROCESSES / str(main_pid), sockets[port])):
            continue
        processes = (each for each in PROCESSES.iterdir() if each.name.isdigit())
        holders = sorted(int(each.name) for each in processes if _holds(each, sockets[port]))
        # The holder may be invisible, for instance outside of the container in which this module runs.
        if holders:
            yield port, holders[0], (read_text(str(PROCESSES / str(holders[0]) / "comm")) or "?").strip()


def _holds(process: Path, inodes: set[str]) -> bool:
    links = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(read_link(str(each)) in links for each in (process / "fd").iterdir())
    except OSError:
        # the process has ended
        return False
