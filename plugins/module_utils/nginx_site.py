# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nginx_site module decides, apart from what it reads and writes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import NamedTuple

# Neither the end of a longer path (/srv/etc/nginx/) nor the middle of a word.
_START = rb"(?<![\w./-])"

_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+:")

TCP_LISTEN = "0A"


class Service(NamedTuple):
    """What systemd says of nginx.service."""

    running: bool
    main_pid: int
    starting_since: float


def parse_service(text: str) -> Service:
    """Return the service in the output of ``systemctl show --timestamp=us+utc``.

    ``starting_since`` is when the start began: nginx read its files after that moment. 0.0 if it never started.
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
    """Return whether something changed after the last time that nginx read its files."""
    return max(changed, default=0.0) > max(loaded, default=0.0)


def relocate(content: bytes, moves: dict[str, str]) -> bytes:
    """Return *content* with the absolute paths that start with a key of *moves* starting with its value."""
    for old, new in moves.items():
        content = re.sub(_START + re.escape(old.encode()), lambda _match, new=new: new.encode(), content)
    return content


def readable(output: str, moves: dict[str, str]) -> str:
    """Return what nginx said about the copy as it would have said it about the original."""
    for old, new in moves.items():
        output = output.replace(new, old)
    # "nginx: [emerg] ...", or where it was built to log to stderr, "2026/11/21 00:10:00 [emerg] 12#12: ..."
    lines = [_STAMP.sub(r"\1", line.removeprefix("nginx: ")) for line in output.strip().splitlines()]
    said = [line for line in lines if not re.match(r"(the )?configuration file .* (test|syntax is) ", line)]
    return "\n".join(said or lines)


def served_twice(output: str, contents: Iterable[str]) -> list[str]:
    """Return the host names of *contents* that, as nginx warns in *output*, another site serves already."""
    words = {word for content in contents for word in re.split(r"[\s;]+", content)}
    names = re.findall(r'conflicting server name "([^"]+)"', output)
    return sorted({name for name in names if name in words})


def warnings(output: str) -> list[str]:
    """Return what nginx warns of in *output*, made readable, each once."""
    found = re.findall(r"\[warn\] (.+)", output)
    return list(dict.fromkeys(found))


def agreement(text: str) -> tuple[int, dict[str, str]]:
    """Return the port for which *text* says what all its sites agree on, and that; port 0 if it says nothing."""
    found = re.search(r"^# Agreed on port (\d+): (.*)$", text, re.MULTILINE)
    if not found:
        return 0, {}
    return int(found[1]), dict(word.split("=", 1) for word in found[2].split() if "=" in word)


def listens_on(content: str, port: int) -> bool:
    """Return whether a site with the text *content* listens on *port*."""
    return bool(re.search(rf"^\s*listen\s+(?:\S+:)?{port}[\s;]", content, re.MULTILINE))


def serves(content: str, name: str, port: int) -> bool:
    """Return whether a site with the text *content* answers for *name* on *port*."""
    lines = re.findall(r"^\s*server_name\s+([^;]*);", content, re.MULTILINE)
    return listens_on(content, port) and any(name in line.split() for line in lines)


def disagreements(before: str, wanted: str) -> list[str]:
    """Return what all sites of a port would have to agree on anew, in words; nothing where *before* says nothing of it."""
    _port, old = agreement(before)
    _port, new = agreement(wanted)
    return [
        f"{name} is {old[name]} and not {new[name]}" for name in sorted(old) if name in new and old[name] != new[name]
    ]


def speaks_proxy_protocol(content: str, port: int) -> bool:
    """Return whether a site with the text *content* wants the proxy protocol on *port*."""
    return bool(re.search(rf"^\s*listen\s+(?:\S+:)?{port}\s[^;]*\bproxy_protocol\b", content, re.MULTILINE))


def unneeded(contents: dict[str, str]) -> list[str]:
    """Return which of the files *contents* of conf.d that apps share no app needs any more, in an order to remove them.

    The default server of a port is there for the apps that listen on it (there is another one for HTTP/3), the rest for
    any app.
    """
    apps = [text for name, text in contents.items() if re.fullmatch(r"asgi-[a-z][\w-]*\.conf", name)]
    listens = [found for text in apps for found in re.findall(r"^\s*listen\s+(?:\S*:)?(\d+)\b(.*)", text, re.MULTILINE)]
    defaults = {f"asgi-01-default-{port}{'-quic' if ' quic' in flags else ''}.conf" for port, flags in listens}
    # what others build on goes last: nginx may be started between any two
    return [
        name
        for name in sorted(contents, reverse=True)
        if (name.startswith("asgi-01-default-") and name not in defaults) or (re.match(r"asgi-\d", name) and not apps)
    ]


def listening_sockets(text: str) -> dict[int, set[str]]:
    """Return the inodes of the listening sockets by port, from the text of /proc/net/tcp or /proc/net/tcp6."""
    found: dict[int, set[str]] = {}
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 9 and columns[3] == TCP_LISTEN:
            found.setdefault(int(columns[1].rpartition(":")[2], 16), set()).add(columns[9])
    return found


def conffile_digest(text: str, path: str) -> str | None:
    """Return the MD5 digest that the package gave the configuration file *path*, from dpkg-query's ``${Conffiles}``."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == path:
            return words[1]
    return None


def removes_default(policy: str, present: bool, is_link: bool, untouched: bool) -> bool:
    """Return whether the distribution's default site is to be removed; raise ValueError if a person must decide."""
    if policy == "keep" or not present:
        return False
    if not is_link:
        raise ValueError(
            "is a file of somebody's and not the package's link, and may answer for every host name that no site "
            "serves: move it away, or say 'keep' if it is no default_server"
        )
    if policy == "remove_untouched" and not untouched:
        raise ValueError(
            "is not as the package left it, and may answer for every host name that no site serves: say 'remove' if it "
            "can go, or 'keep' if it is no default_server"
        )
    return True
