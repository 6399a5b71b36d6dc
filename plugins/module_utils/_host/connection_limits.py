# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maximum number of simultaneous clients of a host, and the limits of nginx, HAProxy and the app that are derived from it.

All limits are derived from one number, so that none of the programs refuses connections that another one accepts. The number is an upper
limit and reserves nothing, so it is not divided between the apps of a host: each app may serve that many clients, and adding an app does not
change the configuration of the others.
"""

from __future__ import annotations

import re

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text

# An idle WebSocket over TLS takes about 70 KiB in nginx, 60 KiB in uvicorn and 10 KiB in the kernel. If all clients hold one, these
# connections take at most 82 % of the memory, and less after the rounding below.
CLIENTS_PER_MIB = 6
LEAST, MOST = 1024, 32768
# number of clients if the memory is unknown
UNKNOWN = 4096

# nginx uses two connections for a client: the client's own and the one to the app.
CONNECTIONS_PER_CLIENT = 2
# Listening sockets, idle connections to the apps, and clients that are being rejected.
SPARE_CONNECTIONS = 512
# Three files for two connections: both sockets, and one file for a request body that exceeds the memory buffer, or for a static file.
FILES_PER_TWO_CONNECTIONS = 3
# Other files of an app: a connection to a database or service for each client, modules, logs.
SPARE_FILES = 1024


def client_limit(capacity: dict, clients: int | str = "auto") -> int:
    """Return how many clients may be connected to a host with the *capacity* that host_info reports.

    A number in *clients* takes precedence. With ``auto``, the number is derived from the memory and rounded down to a power of two, so that
    a kernel that reserves a few MiB more does not change the configuration.
    """
    if clients != "auto":
        return int(clients)
    known = [capacity[key] for key in ("memtotal_mb", "cgroup_memory_mb") if capacity.get(key)]
    wanted = min(known) * CLIENTS_PER_MIB if known else UNKNOWN
    return min(max(1 << max(wanted.bit_length() - 1, 0), LEAST), MOST)


def proxy_limits(clients: int, most_files: int | None = None) -> tuple:
    """Return the limits (connections, files) of each nginx worker for this number of *clients*, with at most *most_files* files.

    The limit is not divided by the number of workers, because the kernel may assign nearly all connections to one of them.
    """
    connections = CONNECTIONS_PER_CLIENT * clients + SPARE_CONNECTIONS
    files = connections * FILES_PER_TWO_CONNECTIONS // 2
    if most_files and files > most_files:
        return most_files * 2 // FILES_PER_TWO_CONNECTIONS, most_files
    return connections, files


def balancer_limit(clients: int, most_files: int | None = None) -> int:
    """Return HAProxy's maxconn for this number of *clients*. HAProxy does not start if its limit of open files is too low for maxconn."""
    return max(min(clients, (most_files - SPARE_FILES) // CONNECTIONS_PER_CLIENT), 1) if most_files else clients


def connection_plan(capacity: dict, clients: int | str = "auto") -> dict:
    """Return the maximum number of ``clients`` of a host, and the number of files that each process of an app may open (``app_files``)."""
    number = client_limit(capacity, clients)
    return {"clients": number, "app_files": CONNECTIONS_PER_CLIENT * number + SPARE_FILES}


def most_clients(texts) -> int:
    """Return the largest number of clients that a site in *texts* records in a comment, 0 if none does."""
    found = [int(number) for text in texts for number in re.findall(r"(?m)^# Clients: (\d+)$", text)]
    return max(found, default=0)


def most_open_files(root: str = "/") -> int | None:
    """Return the highest limit of open files that a service of this host can set, None if unlimited.

    In a container, even root cannot exceed the container's own limit, although it may appear to have the capability.
    """
    return open_files_limit(read_text(f"{root}proc/1/limits") or "", "hard")


def open_files_limit(limits: str, kind: str = "soft") -> int | None:
    """Return the soft or hard limit (*kind*) of open files from the text of /proc/<pid>/limits, None if unlimited."""
    found = re.search(r"(?m)^Max open files +(?P<soft>\S+) +(?P<hard>\S+)", limits)
    return int(found[kind]) if found and found[kind].isdecimal() else None
