# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open connections and files of nginx and the app, their limits, and rejected connections."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import children
from ansible_collections.asgi.deploy.plugins.module_utils._host.connection_limits import (
    most_clients,
    most_open_files,
    open_files_limit,
    proxy_limits,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link, read_text
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_limits import (
    CONNECTIONS,
    DEFAULT_CONNECTIONS,
    limits,
)
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_site import is_app

NO_CONNECTIONS = b"worker_connections are not enough"
NO_FILES = b"(24: Too many open files)"
LOG_TAIL = 4 << 20
_STAMP = re.compile(rb"(?m)^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) .*$")

APP_NO_FILES = "Too many open files"
JOURNAL_LINES = 1000


def proxy(main_pid: int, configuration: str = "/etc/nginx", root: str = "/") -> dict:
    """Return the open connections and files of the workers of the nginx with the main process *main_pid*, and their limits.

    ``clients`` is the largest number of clients that a site records, and ``wanted`` the limit of connections that a worker needs for it.
    Both are 0 if no site records a number.
    """
    sites = [path for path in Path(configuration, "conf.d").glob("asgi-*.conf") if is_app(path.name)]
    clients = most_clients(read_text(str(path), errors="replace") or "" for path in sites)
    main = read_text(os.path.join(configuration, "nginx.conf"), errors="replace") or ""
    return {
        **process_files(children(main_pid) if main_pid else (), root),
        "limit": limits(main).get(CONNECTIONS, DEFAULT_CONNECTIONS),
        "clients": clients,
        "wanted": proxy_limits(clients, most_open_files(root))[0] if clients else 0,
    }


def process_files(pids: Iterable[int], root: str = "/") -> dict:
    """Return ``connections``, the most that one of the processes *pids* has open, and ``files`` and ``files_limit``.

    The last two values are those of the process closest to its limit of open files; the limit is None if there is no process.
    """
    found = [each for each in (_open(pid, root) for pid in pids) if each]
    files, files_limit = max(
        ((files, most) for _connections, files, most in found), key=lambda each: each[0] / each[1], default=(0, None)
    )
    return {
        "connections": max((connections for connections, _files, _most in found), default=0),
        "files": files,
        "files_limit": files_limit,
    }


def _open(pid: int, root: str) -> tuple | None:
    directory = os.path.join(root, f"proc/{pid}")
    try:
        links = [read_link(os.path.join(directory, "fd", name)) or "" for name in os.listdir(f"{directory}/fd")]
    except OSError:
        return None
    most = open_files_limit(read_text(f"{directory}/limits") or "")
    return sum(link.startswith("socket:") for link in links), len(links), most or 1 << 30


def refused(logs: Iterable[str], since: float) -> dict:
    """Count the entries in *logs* after the time *since* that report that nginx ran out of connections or files."""
    begin = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(since)).encode()
    found = {"connections": 0, "files": 0}
    for log in logs:
        for line in _STAMP.finditer(_tail(log)):
            if line.group(1) >= begin:
                found["connections"] += NO_CONNECTIONS in line.group(0)
                found["files"] += NO_FILES in line.group(0)
    return found


def app_refused(run_command: Callable, units: Iterable[str]) -> int | None:
    """Count how often the app ran out of open files since boot, according to its journal; None if the journal cannot be searched."""
    selection = [f"--unit={unit}" for unit in units]
    options = ["--boot", "--quiet", "--no-pager", "--output=cat", f"--grep={APP_NO_FILES}", f"--lines={JOURNAL_LINES}"]
    status, out, err = run_command(["journalctl", *options, *selection])
    # journalctl exits with 1 if nothing matches
    return len(out.splitlines()) if not status or not err.strip() else None


def booted_at(root: str = "/") -> float:
    found = re.search(r"(?m)^btime (\d+)$", read_text(os.path.join(root, "proc/stat")) or "")
    return float(found.group(1)) if found else 0.0


def _tail(log: str) -> bytes:
    try:
        with open(log, "rb") as file:
            file.seek(max(os.path.getsize(log) - LOG_TAIL, 0))
            return file.read()
    except OSError:
        return b""
