# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure functions for a daemon's files and ports: load times, relocated paths, shared settings of a port, and listening sockets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import parse_properties

# The start of a path: not in the middle of a longer path, such as /srv/etc/nginx/, or of a word.
_START = rb"(?<![\w./-])"

# States in /proc/net: of listening TCP sockets, and of unconnected UDP sockets, which also receive new packets.
TCP_LISTEN = "0A"
UDP_UNCONNECTED = "07"


class Service(NamedTuple):
    """The state of a service."""

    running: bool
    main_pid: int
    starting_since: float


def show_service(run_command: Callable, unit: str) -> Service:
    """Return the state of the service *unit*, queried by *run_command* (AnsibleModule.run_command)."""
    properties = "--property=ActiveState,MainPID,InactiveExitTimestamp"
    _status, out, _err = run_command(["systemctl", "show", "--timestamp=us+utc", properties, unit])
    return parse_service(out)


def parse_service(text: str) -> Service:
    """Return the service in the output of ``systemctl show --timestamp=us+utc``.

    ``starting_since`` is the time when the daemon's last start began, before it read its files; 0.0 if it never started.
    """
    properties = parse_properties(text)[0]
    return Service(
        running=properties.get("ActiveState") in ("active", "reloading"),
        main_pid=int(properties.get("MainPID") or 0),
        starting_since=parse_timestamp(properties.get("InactiveExitTimestamp", "")),
    )


def parse_timestamp(text: str) -> float:
    """Parse a timestamp such as ``Sat 2026-11-21 00:10:00.123456 UTC`` into seconds since the epoch; return 0.0 if it is empty."""
    words = text.split()
    if len(words) != 4:
        return 0.0
    day, clock = words[1:3]
    pattern = "%Y-%m-%d %H:%M:%S.%f" if "." in clock else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(f"{day} {clock}", pattern).replace(tzinfo=timezone.utc).timestamp()


def not_loaded(changed: Iterable[float], loaded: Iterable[float], now: float) -> bool:
    """Return whether the latest time in *changed* is after the latest time in *loaded*, when the daemon last read its files.

    Load times after *now* are ignored: they were recorded before the clock was set back.
    """
    return max(changed, default=0.0) > max((stamp for stamp in loaded if stamp <= now), default=0.0)


def relocate(content: bytes, moves: dict[str, str]) -> bytes:
    """Return *content* with each key of *moves* replaced by its value at the start of absolute paths."""
    for old, new in moves.items():
        content = re.sub(_START + re.escape(old.encode()), lambda _match, new=new: new.encode(), content)
    return content


def agreement(text: str) -> tuple[int, dict[str, str]]:
    """Return the port and its shared settings that *text* records; port 0 and no settings if it records none."""
    found = re.search(r"^# Agreed on port (\d+): (.*)$", text, re.MULTILINE)
    if not found:
        return 0, {}
    return int(found[1]), dict(word.split("=", 1) for word in found[2].split() if "=" in word)


def disagreements(before: str, wanted: str) -> list[str]:
    """Return a text for each shared setting of a port that differs between *before* and *wanted*; none if *before* records no settings."""
    _port, old = agreement(before)
    _port, new = agreement(wanted)
    return [
        f"{name} is {old[name]} and not {new[name]}" for name in sorted(old) if name in new and old[name] != new[name]
    ]


def listening_sockets(text: str, state: str = TCP_LISTEN) -> dict[int, set[str]]:
    """Return the inodes of the sockets in *state* by port, from the text of /proc/net/tcp, udp, tcp6 or udp6."""
    found: dict[int, set[str]] = {}
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 9 and columns[3] == state:
            found.setdefault(int(columns[1].rpartition(":")[2], 16), set()).add(columns[9])
    return found


def conffile_digest(text: str, path: str) -> str | None:
    """Return the MD5 digest of the configuration file *path* as the package contains it, from dpkg-query's ``${Conffiles}``."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == path:
            return words[1]
    return None
