# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units beside an app that serve its metrics: a socket that systemd holds, and a program that it starts for it."""

from __future__ import annotations

import errno
import glob
import os
import re
import socket

from ansible_collections.asgi.deploy.plugins.module_utils.files import read_text, remove, write_text
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd

SUFFIX = "-metrics.socket"


class Taken(Exception):
    """Somebody else listens there; the message says who."""


def listens(unit_text: str | None) -> str | None:
    """Return where the text of a socket unit listens."""
    found = re.search(r"^ListenStream=(.*)$", unit_text or "", re.MULTILINE)
    return found.group(1) if found else None


def neighbour_at(address: str, socket_unit: str) -> str | None:
    """Return the other app of this host whose metrics are served at *address*; *socket_unit* is the path of ours."""
    for path in sorted(glob.glob(os.path.join(os.path.dirname(socket_unit), f"*{SUFFIX}"))):
        if path != socket_unit and listens(read_text(path)) == address:
            return os.path.basename(path)[: -len(SUFFIX)]
    return None


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def in_use(address: str) -> bool:
    """Return whether a process of this host listens at *address*, ``host:port``."""
    host, _colon, port = address.rpartition(":")
    family, kind, protocol, _name, where = socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(family, kind, protocol) as tried:
        # as systemd does it: connections that have just ended do not matter
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(where)
            tried.listen(1)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return True
            raise
    return False


class Endpoint:
    """The units and the program of one app. *paths* is its layout; *dry* only reports what would be done."""

    def __init__(self, paths: dict, systemd: Systemd, dry: bool = False) -> None:
        self.paths = paths
        self.systemd = systemd
        self.dry = dry
        self.changes: list = []
        self._socket, self._service = (os.path.basename(paths[f"metrics_{kind}"]) for kind in ("socket", "service"))

    def check(self, socket_text: str) -> None:
        """Raise Taken if the address in *socket_text* is somebody else's."""
        address = listens(socket_text) or ""
        neighbour = neighbour_at(address, self.paths["metrics_socket"])
        if neighbour:
            raise Taken(f"the metrics of the app {neighbour} on this host are served at {address}")
        # another address with the same port, such as all of them, can be in use because of ours, which is stopped first
        before = listens(read_text(self.paths["metrics_socket"])) or ""
        ours = _port(before) == _port(address) and self._unit(self._socket).running
        if not ours and not address.startswith("/") and in_use(address):
            raise Taken(f"another process of this host listens at {address}")

    def provide(self, files: dict) -> None:
        """Have the texts in *files*, by their names in the layout, written and served."""
        self.check(files["metrics_socket"])
        stale = [name for name, text in files.items() if read_text(self.paths[name]) != text]
        for name in stale:
            self._do(f"write {self.paths[name]}", lambda name=name: write_text(self.paths[name], files[name]))
        units = [self._unit(name) for name in (self._socket, self._service)]
        if {"metrics_socket", "metrics_service"} & set(stale) or any(unit.needs_daemon_reload for unit in units):
            self._do("reload systemd's unit files", self.systemd.daemon_reload)
        if stale and not all(unit.stopped for unit in units):
            # what listens now does so as it was told before; the next scrape starts the program
            self._do(f"stop {self._socket}", lambda: self.systemd.stop(self._socket, self._service))
        if stale or not units[0].running:
            self._do(f"start {self._socket}", lambda: self.systemd.start(self._socket))
        if not units[0].enabled:
            self._do(f"enable {self._socket} at boot", lambda: self.systemd.enable(self._socket))

    def remove(self) -> None:
        """Serve no metrics any more."""
        names = ("metrics_socket", "metrics_service", "metrics_program")
        there = [self.paths[name] for name in names if os.path.lexists(self.paths[name])]
        if self.paths["metrics_socket"] in there:
            self._do(f"disable {self._socket} at boot", lambda: self.systemd.disable(self._socket))
            self._do(f"stop {self._socket}", lambda: self.systemd.stop(self._socket, self._service))
        # the socket's unit last: it is what tells that there is something to remove
        for path in reversed(there):
            self._do(f"remove {path}", lambda path=path: remove(path))
        if there:
            self._do("reload systemd's unit files", self.systemd.daemon_reload)

    def _unit(self, name: str):
        return self.systemd.show(name)[name]

    def _do(self, change: str, action) -> None:
        self.changes.append(change)
        if not self.dry:
            action()
