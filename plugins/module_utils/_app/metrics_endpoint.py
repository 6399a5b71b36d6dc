# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that serve an app's metrics: a mount for the counters, a socket, and a service with the exporter.

The first scrape activates the service.
"""

from __future__ import annotations

import errno
import glob
import grp
import os
import re
import socket

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text, remove, write_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd

SUFFIX = "-metrics.socket"
UNITS = ("socket", "service", "mount")
ANOTHER = "choose another asgi_server_metrics_listen"


class Unusable(Reported):
    """The metrics cannot be served as configured; the message contains the reason and the remedy."""

    code = "metrics-endpoint-unusable"


def _setting(name: str, unit_text: str | None) -> str | None:
    found = re.search(rf"^{name}=(.*)$", unit_text or "", re.MULTILINE)
    return found.group(1) if found else None


def listens(unit_text: str | None) -> str | None:
    """Return the listen address in the text of a socket unit."""
    return _setting("ListenStream", unit_text)


def check_group(name: str) -> None:
    """Raise Unusable if the host has no group *name*."""
    try:
        grp.getgrnam(name)
    except KeyError:
        raise Unusable(
            f"this host has no group {name} -> create it, or choose another asgi_server_metrics_group"
        ) from None


def neighbour_at(address: str, socket_unit: str) -> str | None:
    """Return another app of this host whose metrics are served at *address*. *socket_unit* is the path of this app's socket unit."""
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
        # Ignore connections in TIME_WAIT, as systemd does.
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
    """The metrics units and the exporter of one app. *paths* is the app's layout; a *dry* endpoint only records the changes."""

    def __init__(self, paths: dict, systemd: Systemd, dry: bool = False) -> None:
        self.paths = paths
        self.systemd = systemd
        self.dry = dry
        self.changes: list = []
        self._socket, self._service, self._mount = (os.path.basename(paths[f"metrics_{kind}"]) for kind in UNITS)

    def check(self, socket_text: str) -> None:
        """Raise Unusable if the address in *socket_text* is in use or the group in it does not exist."""
        self.check_address(listens(socket_text) or "")
        group = _setting("SocketGroup", socket_text)
        if group:
            check_group(group)

    def check_address(self, address: str) -> None:
        """Raise Unusable if another app or process listens at *address*."""
        neighbour = neighbour_at(address, self.paths["metrics_socket"])
        if neighbour:
            raise Unusable(f"the metrics of the app {neighbour} on this host are served at {address} -> {ANOTHER}")
        # If this app's running socket already uses the port, in_use() would find that socket, which is stopped before the new one starts.
        before = listens(read_text(self.paths["metrics_socket"])) or ""
        own = _port(before) == _port(address) and self._unit(self._socket).running
        if not own and not address.startswith("/") and in_use(address):
            raise Unusable(f"another process of this host listens at {address} -> {ANOTHER}")

    def provide(self, files: dict) -> None:
        """Write *files*, a mapping of layout keys to contents, and start or restart the endpoint."""
        self.check(files["metrics_socket"])
        stale = [name for name, text in files.items() if read_text(self.paths[name]) != text]
        for name in stale:
            self._do(f"write {self.paths[name]}", lambda name=name: write_text(self.paths[name], files[name]))
        units = self.systemd.show(self._socket, self._service, self._mount)
        listener, program, mount = (units[name] for name in (self._socket, self._service, self._mount))
        if {f"metrics_{kind}" for kind in UNITS} & set(stale) or any(
            unit.needs_daemon_reload for unit in units.values()
        ):
            self._do("reload systemd's unit files", self.systemd.daemon_reload)
        if not mount.running:
            self._do(f"start {self._mount}", lambda: self.systemd.start(self._mount))
        elif "metrics_mount" in stale:
            self._do(f"reload {self._mount}", lambda: self.systemd.reload(self._mount))
        if stale and not (listener.stopped and program.stopped):
            # The exporter reads its files only when it starts. The next scrape starts it again.
            self._do(f"stop {self._socket}", lambda: self.systemd.stop(self._socket, self._service))
        if stale or not listener.running:
            self._do(f"start {self._socket}", lambda: self.systemd.start(self._socket))
        if not listener.enabled:
            self._do(f"enable {self._socket} at boot", lambda: self.systemd.enable(self._socket))

    def remove(self) -> None:
        """Stop the endpoint and remove its files."""
        names = ("metrics_socket", "metrics_service", "metrics_program", "metrics_mount")
        present = [self.paths[name] for name in names if os.path.lexists(self.paths[name])]
        if self.paths["metrics_socket"] in present:
            self._do(f"disable {self._socket} at boot", lambda: self.systemd.disable(self._socket))
            self._do(f"stop {self._socket}", lambda: self.systemd.stop(self._socket, self._service))
        if self.paths["metrics_mount"] in present:
            # Running workers use the file system until they exit.
            self._do(f"stop {self._mount}", self._unmount)
        # Remove the socket unit last, because the endpoint counts as present while that file exists.
        for path in reversed(present):
            self._do(f"remove {path}", lambda path=path: remove(path))
        if present:
            self._do("reload systemd's unit files", self.systemd.daemon_reload)

    def _unmount(self) -> None:
        self.systemd.stop(self._mount)
        remove(self.paths["metrics_counters"])

    def _unit(self, name: str):
        return self.systemd.show(name)[name]

    def _do(self, change: str, action) -> None:
        self.changes.append(change)
        if not self.dry:
            action()
