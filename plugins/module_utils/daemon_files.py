# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided about the files that a daemon reads, whichever daemon it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import NamedTuple

# Neither the end of a longer path (/srv/etc/nginx/) nor the middle of a word.
_START = rb"(?<![\w./-])"

# states of sockets that get what comes to a port: of UDP, those that are not connected to somebody
TCP_LISTEN = "0A"
UDP_UNCONNECTED = "07"


class Service(NamedTuple):
    """What systemd says of a service."""

    running: bool
    main_pid: int
    starting_since: float


def parse_service(text: str) -> Service:
    """Return the service in the output of ``systemctl show --timestamp=us+utc``.

    ``starting_since`` is when the start began: the daemon read its files after that moment. 0.0 if it never started.
    """
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Service(
        running=found.get("ActiveState") in ("active", "reloading"),
        main_pid=int(found.get("MainPID") or 0),
        starting_since=parse_timestamp(found.get("InactiveExitTimestamp", "")),
    )


def parse_timestamp(text: str) -> float:
    """Return seconds since the epoch for ``Sat 2026-11-21 00:10:00.123456 UTC``; 0.0 for none."""
    words = text.split()
    if len(words) != 4:
        return 0.0
    day, clock = words[1:3]
    pattern = "%Y-%m-%d %H:%M:%S.%f" if "." in clock else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(f"{day} {clock}", pattern).replace(tzinfo=timezone.utc).timestamp()


def not_loaded(changed: Iterable[float], loaded: Iterable[float]) -> bool:
    """Return whether something changed after the last time that the daemon read its files."""
    return max(changed, default=0.0) > max(loaded, default=0.0)


def relocate(content: bytes, moves: dict[str, str]) -> bytes:
    """Return *content* with the absolute paths that start with a key of *moves* starting with its value."""
    for old, new in moves.items():
        content = re.sub(_START + re.escape(old.encode()), lambda _match, new=new: new.encode(), content)
    return content


def agreement(text: str) -> tuple[int, dict[str, str]]:
    """Return the port for which *text* says what all its sites agree on, and that; port 0 if it says nothing."""
    found = re.search(r"^# Agreed on port (\d+): (.*)$", text, re.MULTILINE)
    if not found:
        return 0, {}
    return int(found[1]), dict(word.split("=", 1) for word in found[2].split() if "=" in word)


def disagreements(before: str, wanted: str) -> list[str]:
    """Return what all sites of a port would have to agree on anew, in words; nothing where *before* says nothing of it."""
    _port, old = agreement(before)
    _port, new = agreement(wanted)
    return [
        f"{name} is {old[name]} and not {new[name]}" for name in sorted(old) if name in new and old[name] != new[name]
    ]


def listening_sockets(text: str, state: str = TCP_LISTEN) -> dict[int, set[str]]:
    """Return the inodes of the sockets in *state* by port, from the text of /proc/net/tcp, or udp, or one of the same for IPv6."""
    found: dict[int, set[str]] = {}
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 9 and columns[3] == state:
            found.setdefault(int(columns[1].rpartition(":")[2], 16), set()).add(columns[9])
    return found


def conffile_digest(text: str, path: str) -> str | None:
    """Return the MD5 digest that the package gave the configuration file *path*, from dpkg-query's ``${Conffiles}``."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == path:
            return words[1]
    return None
