# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the haproxy_site module decides, apart from what it reads and writes.

Apps do not know of each other. Each has one file, whose comments say what it has of the ports that all share:

    # Serves on port 443 with /etc/asgi/shop/tls/live.pem: shop.example.com *.shop.example.com
    # Redirects on port 80 to 443: shop.example.com *.shop.example.com
    # Challenges on port 80 to asgi_shop.acme: shop.example.com

What HAProxy looks names up in is put together from these, so it never says anything else than the files do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_APP = re.compile(r"asgi-([a-z][\w-]*)\.cfg")
_SERVES = re.compile(r"^# Serves on port (\d+) with (\S+): (.+)$", re.MULTILINE)
_REDIRECTS = re.compile(r"^# Redirects on port (\d+) to (\d+): (.+)$", re.MULTILINE)
_CHALLENGES = re.compile(r"^# Challenges on port (\d+) to (\S+): (.+)$", re.MULTILINE)
_SHARED_OF_PORT = re.compile(r"(?:asgi-01-https?|hosts|suffixes|challenges|certificates)-(\d+)\.(?:cfg|map|list)")
_SAID = re.compile(r"^\[(NOTICE|WARNING|ALERT)\]\s+\(\d+\) : (?:config : )?(.*)$")


class Use(NamedTuple):
    """What an app has of a port: names, the value that HAProxy finds for each, in which file, and its certificate, if any."""

    app: str
    port: int
    names: tuple
    value: str
    certificate: str = ""
    file: str = "hosts"


def uses(contents: dict[str, str]) -> list[Use]:
    """Return what each app has of which port, from the texts of the files by name."""
    found = []
    for file, text in sorted(contents.items()):
        match = _APP.fullmatch(file)
        if not match:
            continue
        app = match[1]
        for port, certificate, names in _SERVES.findall(text):
            found.append(Use(app, int(port), tuple(names.split()), f"asgi_{app}", certificate))
        for port, target, names in _REDIRECTS.findall(text):
            found.append(Use(app, int(port), tuple(names.split()), target))
        for port, backend, names in _CHALLENGES.findall(text):
            found.append(Use(app, int(port), tuple(names.split()), backend, file="challenges"))
    return found


def composed(contents: dict[str, str]) -> dict[str, str]:
    """Return the files that HAProxy looks names up in, by name, for the apps in *contents*."""
    files: dict[str, list] = {}
    for use in uses(contents):
        # what a frontend looks into is there, whatever there is to be found
        for file in ("hosts", "suffixes") if use.certificate else ("hosts", "suffixes", "challenges"):
            files.setdefault(f"{file}-{use.port}.map", [])
        for name in use.names:
            file = "suffixes" if name.startswith("*.") else use.file
            files[f"{file}-{use.port}.map"].append(f"{name.removeprefix('*')} {use.value}")
        if use.certificate:
            files.setdefault(f"certificates-{use.port}.list", []).append(f"{use.certificate} {' '.join(use.names)}")
    for name, lines in files.items():
        # the first suffix that fits counts, and is to be the longest
        lines.sort(key=(lambda line: (-len(line.split()[0]), line)) if name.startswith("suffixes") else None)
    return {name: "".join(f"{line}\n" for line in lines) for name, lines in files.items()}


def served_twice(contents: dict[str, str], app_files: set) -> list[str]:
    """Return, in words, the names that one of *app_files* and another file of *contents* both have on a port."""
    ours = {name for name in (_APP.fullmatch(file) for file in app_files) if name}
    mine = {match[1] for match in ours}
    taken = {(use.port, name): use.app for use in uses(contents) if use.app not in mine for name in use.names}
    return sorted(
        {
            f"{name} on port {use.port} (app {taken[use.port, name]})"
            for use in uses(contents)
            if use.app in mine
            for name in use.names
            if (use.port, name) in taken
        }
    )


def apps_on(contents: dict[str, str], port: int) -> list[str]:
    """Return the files of the apps that have something of *port*."""
    return sorted({f"asgi-{use.app}.cfg" for use in uses(contents) if use.port == port})


def unneeded(contents: dict[str, str]) -> list[str]:
    """Return which of the files *contents* that apps share no app needs any more, in an order to remove them."""
    ports = {use.port for use in uses(contents)}
    of_ports = {name: _SHARED_OF_PORT.fullmatch(name) for name in contents}
    # what uses a file goes before that file: HAProxy may be started between any two
    gone = sorted(
        (name for name, match in of_ports.items() if match and int(match[1]) not in ports),
        key=lambda name: (not name.endswith(".cfg"), name),
    )
    return gone + ([name for name in contents if name == "asgi-00-shared.cfg"] if not ports else [])


def readable(output: str, moves: dict[str, str]) -> str:
    """Return what HAProxy said of the copy as it would have said it of the original, without what is not amiss."""
    return "\n".join(text for level, text in _said(output, moves) if level != "NOTICE")


def warnings(output: str, moves: dict[str, str]) -> list[str]:
    """Return what HAProxy warns of, each once."""
    found = (text for level, text in _said(output, moves) if level == "WARNING")
    # before the first start there is no state, of course
    return list(dict.fromkeys(text for text in found if "server state file" not in text))


def _said(output: str, moves: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what HAProxy said, line by line, with its level; a line without one goes on with what the last one said."""
    for old, new in moves.items():
        output = output.replace(new, old)
    level = ""
    for line in output.splitlines():
        match = _SAID.match(line)
        level, text = match.groups() if match else (level, line.strip())
        if text:
            yield level, text
