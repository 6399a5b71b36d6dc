# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure functions of the module haproxy_site: lookup files, limits, and parsing of HAProxy's output.

The play of one app has no information about the other apps. Therefore comments in each app's file record its names on the shared ports:

    # Serves on port 443 with /etc/asgi/shop/tls/live.pem: shop.example.com *.shop.example.com
    # Public ports of port 443: 8443
    # Redirects on port 80 to 443: shop.example.com *.shop.example.com
    # Challenges on port 80 to asgi_shop.acme: shop.example.com

    # Clients: 8192

HAProxy's lookup files and its connection limit are derived from these comments, so they always match the apps' files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.connection_limits import balancer_limit, most_clients

_APP = re.compile(r"asgi-([a-z][\w-]*)\.cfg")
_SERVES = re.compile(r"^# Serves on port (\d+) with (\S+): (.+)$", re.MULTILINE)
_REDIRECTS = re.compile(r"^# Redirects on port (\d+) to (\d+): (.+)$", re.MULTILINE)
_PUBLIC_PORTS = re.compile(r"^# Public ports of port (\d+): ([\d ]+)$", re.MULTILINE)
_CHALLENGES = re.compile(r"^# Challenges on port (\d+) to (\S+): (.+)$", re.MULTILINE)
_SHARED_OF_PORT = re.compile(r"(?:asgi-01-https?|hosts|suffixes|challenges|certificates|ports)-(\d+)\.(?:cfg|map|list)")
_MESSAGE = re.compile(r"^\[(NOTICE|WARNING|ALERT)\]\s+\(\d+\) : (?:config : )?(.*)$")

# The section "global" may be repeated. HAProxy derives its limit of open files from maxconn.
LIMITS = "asgi-00-limits.cfg"
_LIMITS = """\
# Managed by the Ansible collection asgi.deploy; changes are overwritten.
# For the app of this balancer with the most clients.
global
    maxconn {}
"""


class Use(NamedTuple):
    """An app's use of a port: its names, their value in HAProxy's maps, the kind of map, and the certificate, if any.

    ``public_ports`` are additional ports that appear in URLs of the app.
    """

    app: str
    port: int
    names: tuple
    value: str
    certificate: str = ""
    file: str = "hosts"
    public_ports: tuple = ()


def uses(contents: dict[str, str]) -> list[Use]:
    """Return the apps' uses of ports, from *contents*, the texts of their files by name."""
    found = []
    for file, text in sorted(contents.items()):
        match = _APP.fullmatch(file)
        if not match:
            continue
        app = match[1]
        public = {int(port): tuple(others.split()) for port, others in _PUBLIC_PORTS.findall(text)}
        for port, certificate, names in _SERVES.findall(text):
            found.append(
                Use(
                    app,
                    int(port),
                    tuple(names.split()),
                    f"asgi_{app}",
                    certificate,
                    public_ports=public.get(int(port), ()),
                )
            )
        for port, target, names in _REDIRECTS.findall(text):
            found.append(Use(app, int(port), tuple(names.split()), target))
        for port, backend, names in _CHALLENGES.findall(text):
            found.append(Use(app, int(port), tuple(names.split()), backend, file="challenges"))
    return found


def lookup_files(contents: dict[str, str]) -> dict[str, str]:
    """Return the maps and certificate lists of HAProxy, by file name, for the apps in *contents*."""
    files: dict[str, list] = {}
    for use in uses(contents):
        # HAProxy requires the files of each frontend, even if they are empty.
        for file in ("hosts", "suffixes", "ports") if use.certificate else ("hosts", "suffixes", "challenges"):
            files.setdefault(f"{file}-{use.port}.map", [])
        for name in use.names:
            file = "suffixes" if name.startswith("*.") else use.file
            files[f"{file}-{use.port}.map"].append(f"{name.removeprefix('*')} {use.value}")
        if use.certificate:
            files[f"ports-{use.port}.map"] += [f"{use.value}:{port} public" for port in use.public_ports]
            files.setdefault(f"certificates-{use.port}.list", []).append(f"{use.certificate} {' '.join(use.names)}")
    for name, lines in files.items():
        # The first matching suffix applies, so sort longer ones first.
        lines.sort(key=(lambda line: (-len(line.split()[0]), line)) if name.startswith("suffixes") else None)
    return {name: "".join(f"{line}\n" for line in lines) for name, lines in files.items()}


def limits(contents: dict[str, str], most_files: int | None) -> dict[str, str]:
    """Return the file with HAProxy's limits, by name, for the most clients that an app in *contents* records; empty if none records any."""
    clients = most_clients(text for name, text in contents.items() if _APP.fullmatch(name))
    return {LIMITS: _LIMITS.format(balancer_limit(clients, most_files))} if clients else {}


def duplicate_names(contents: dict[str, str], app_files: set) -> list[str]:
    """Return a text for each name that an app in *app_files* and another app in *contents* use on the same port."""
    own = {match[1] for match in map(_APP.fullmatch, app_files) if match}
    taken = {(use.port, name): use.app for use in uses(contents) if use.app not in own for name in use.names}
    return sorted(
        {
            f"{name} on port {use.port} (app {taken[use.port, name]})"
            for use in uses(contents)
            if use.app in own
            for name in use.names
            if (use.port, name) in taken
        }
    )


def apps_on(contents: dict[str, str], port: int) -> list[str]:
    """Return the files of the apps that use *port*."""
    return sorted({f"asgi-{use.app}.cfg" for use in uses(contents) if use.port == port})


def unneeded(contents: dict[str, str]) -> list[str]:
    """Return the names of the shared files in *contents* that no app needs, in the order in which to remove them."""
    ports = {use.port for use in uses(contents)}
    of_ports = {name: _SHARED_OF_PORT.fullmatch(name) for name in contents}
    # Remove a file before the files that it uses, because HAProxy could start in between.
    unused = sorted(
        (name for name, match in of_ports.items() if match and int(match[1]) not in ports),
        key=lambda name: (not name.endswith(".cfg"), name),
    )
    return unused + ([name for name in contents if name in ("asgi-00-shared.cfg", LIMITS)] if not ports else [])


def error_lines(output: str, moves: dict[str, str]) -> str:
    """Return the errors and warnings in HAProxy's *output* about a copy, with the original paths. *moves* maps original paths to the copy's."""
    return "\n".join(text for level, text in _messages(output, moves) if level != "NOTICE")


def warnings(output: str, moves: dict[str, str]) -> list[str]:
    """Return the warnings in HAProxy's *output*, without duplicates."""
    found = (text for level, text in _messages(output, moves) if level == "WARNING")
    # Before HAProxy's first start, there is no server state file yet.
    return list(dict.fromkeys(text for text in found if "server state file" not in text))


def _messages(output: str, moves: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the level and text of each line; a line without a level continues the previous message."""
    for old, new in moves.items():
        output = output.replace(new, old)
    level = ""
    for line in output.splitlines():
        match = _MESSAGE.match(line)
        level, text = match.groups() if match else (level, line.strip())
        if text:
            yield level, text
