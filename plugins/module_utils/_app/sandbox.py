# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox of an app: one list of systemd settings, used by its slots and by all other units that run its code.

Directories of other apps are hidden by default, including those of apps that are deployed later.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import (
    APPS,
    CONFIGURATION_DIRECTORY,
    NGINX_LOGS,
    layout,
)

# The working directory of the app if it is not in shared/: the code of the release.
CODE = "code"

# The variables asgi_server_* that configure the sandbox, with their defaults.
VARIABLES: dict[str, object] = {
    "write_paths": [],
    "read_paths": [],
    "cloud_metadata": False,
    "memory_max": None,
    "cpu_quota": None,
    "tasks_max": None,
    "unit_settings": {},
    "working_directory": CODE,
}

# Directories that the app sees empty, with the mount options of the tmpfs that hides them.
HIDDEN = {
    APPS: "ro",
    CONFIGURATION_DIRECTORY: "ro",
    # For worker heartbeats and shared memory. All apps share the host's /dev/shm, and one of them could fill it.
    "/dev/shm": "rw,nosuid,nodev,mode=1777,size=50%",
}
# Directories that ProtectHome= hides.
HOMES = ("/home", "/root", "/run/user")
# D-Bus gives unprivileged accounts access to daemons that run as root. The other sockets belong to daemons that run containers or install
# packages. The names of nginx's logs reveal the other apps.
INACCESSIBLE = (
    "/run/dbus",
    "/run/user",
    "/run/snapd.socket",
    "/run/docker.sock",
    "/run/podman",
    "/run/containerd",
    NGINX_LOGS,
)

# Cloud metadata services, which return the credentials of the machine's role: AWS and most others, AWS ECS and EKS, Alibaba, AWS over IPv6,
# OpenStack over IPv6. Azure's 168.63.129.16 is omitted, because it is also the name server.
METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fe80::a9fe:a9fe",
)

FIXED = (
    ("UMask", "0027"),
    ("NoNewPrivileges", True),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("PrivateTmp", True),
    ("PrivateDevices", True),
    ("PrivateMounts", True),
    ("ProtectClock", True),
    ("ProtectControlGroups", True),
    ("ProtectHostname", True),
    ("ProtectKernelLogs", True),
    ("ProtectKernelModules", True),
    ("ProtectKernelTunables", True),
    # Hides the processes of other accounts. ProcSubset=pid would also hide /proc/meminfo and /proc/stat, without which psutil, JVMs and browsers
    # fail.
    ("ProtectProc", "invisible"),
    ("RemoveIPC", True),
    # AF_NETLINK is required by getifaddrs(3), which libraries use to list the host's addresses.
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    ("RestrictNamespaces", True),
    ("RestrictRealtime", True),
    ("RestrictSUIDSGID", True),
    ("LockPersonality", True),
    ("MemoryDenyWriteExecute", True),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    # Numerical libraries pin their threads, and batch jobs lower their own priority. libzmq sets the default scheduling policy of its threads
    # and aborts if it cannot; RestrictRealtime= and the missing capabilities prevent a higher priority.
    ("SystemCallFilter", "sched_setaffinity sched_setscheduler setpriority"),
    ("SystemCallErrorNumber", "EPERM"),
)

# Settings of a slot that also apply to transient units: the restrictions in systemd.exec(5) and systemd.resource-control(5). The
# other settings only make sense for the service. RuntimeDirectory= is excluded, because systemd would remove the directory of the
# slots when the unit ends. StateDirectory= and similar settings are included, because migrations write there.
SHARED = re.compile(
    "AmbientCapabilities|CapabilityBoundingSet|NoNewPrivileges|SecureBits|UMask|SupplementaryGroups|KeyringMode|"
    "Protect[A-Z]\\w*|Private[A-Z]\\w*|Restrict[A-Z]\\w*|ProcSubset|LockPersonality|MemoryDenyWriteExecute|RemoveIPC|"
    "SystemCall(Filter|Architectures|ErrorNumber|Log)|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|"
    "TemporaryFileSystem|Bind(ReadOnly)?Paths|IPAddress(Allow|Deny)|SocketBind(Allow|Deny)|DeviceAllow|DevicePolicy|"
    "(State|Cache|Logs)Directory(Mode)?|AppArmorProfile|SELinuxContext|(Network|IPC)NamespacePath|"
    "Memory(Min|Low|High|Max|SwapMax)|CPU(Quota|QuotaPeriodSec|Weight)|AllowedCPUs|TasksMax|IO\\w+|Limit[A-Z]+|Nice"
)


def properties(app: str, settings: Mapping[str, object]) -> list[tuple[str, object]]:
    """Return the settings of the sandbox of *app*, in order, as pairs of a name and a value.

    *settings* contains the variables in VARIABLES that are set, without their prefix. A value is a string, a number, a boolean or a list;
    systemd_value() and plain() convert it to text. ``unit_settings`` come last, so that they take precedence.
    """
    given = {**VARIABLES, **{name: value for name, value in settings.items() if value is not None}}
    found = [*_limits(given), *FIXED, *_paths(app, given["write_paths"], given["read_paths"])]
    if str(given["cloud_metadata"]).lower() not in ("true", "yes", "on", "1"):  # extra vars (-e) are strings
        found.append(("IPAddressDeny", " ".join(METADATA)))
    return [*found, *sorted(given["unit_settings"].items())]


def _limits(given: Mapping) -> Iterable[tuple[str, object]]:
    if given["memory_max"] is not None:
        yield "MemoryMax", given["memory_max"]
    if given["cpu_quota"] is not None:
        yield "CPUQuota", f"{str(given['cpu_quota']).replace('%', '')}%"
    if given["tasks_max"] is not None:
        yield "TasksMax", given["tasks_max"]


def _paths(app: str, writable: list, readable: list) -> Iterable[tuple[str, object]]:
    """Yield the settings that determine the app's view of the file system. Paths that the inventory lists are always visible."""
    paths = layout(app)
    listed = [*writable, *readable]
    hidden = {path: options for path, options in HIDDEN.items() if not any(is_below(path, each) for each in listed)}
    for path, options in hidden.items():
        yield "TemporaryFileSystem", f"{path}:{options}"
    if APPS in hidden:
        # Bind the whole directory, because releases and slots change.
        yield "BindReadOnlyPaths", paths["home"]
    at_home = any(is_below(path, home) for path in listed for home in HOMES)
    yield "ProtectHome", "tmpfs" if at_home else True
    denied = [path for path in INACCESSIBLE if not any(is_below(path, each) or is_below(each, path) for each in listed)]
    yield "InaccessiblePaths", [f"-{path}" for path in denied]
    for path in readable:
        yield "BindReadOnlyPaths", path
    for path in (paths["shared"], *writable):
        if path != paths["shared"] and any(is_below(path, each) for each in (*hidden, *HOMES)):
            yield "BindPaths", path
        yield "ReadWritePaths", path
    # The operator can remove the cache at any time, so the app must start without it.
    yield "ReadWritePaths", f"-{paths['cache']}"


def working_directory(paths: Mapping, settings: Mapping[str, object]) -> str | None:
    """Return the working directory in shared/ of the app with the layout *paths*; None for the code of the release."""
    name = settings.get("working_directory") or CODE
    return None if name == CODE else os.path.join(paths["home"], str(name))


def missing_paths(settings: Mapping[str, object]) -> list[str]:
    """Describe each listed path that does not exist, with the name of its variable. systemd cannot start a unit with such a path."""
    return [
        f"asgi_server_{name} contains {path!r}"
        for name in ("write_paths", "read_paths")
        for path in settings.get(name) or []
        if not os.path.exists(path)
    ]


def is_below(path: str, directory: str) -> bool:
    """Return whether *path* is *directory* or inside it."""
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def plain(value: object) -> str:
    """Return *value* in the format of systemd-run, which, unlike unit files, does not expand specifiers."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(plain, value)) if isinstance(value, (list, tuple)) else str(value)


def transient(settings: Iterable[tuple[str, object]]) -> list[tuple[str, str]]:
    """Return the *settings* of a slot that also apply to a transient unit, in the format of systemd-run."""
    return [(name, plain(value)) for name, value in settings if SHARED.fullmatch(name)]


def from_drop_in(text: str, slot: str) -> list[tuple[str, str]]:
    """Return the settings in *text*, the drop-in of *slot*, with specifiers expanded."""
    specifiers = {"%%": "%", "%i": slot}
    found = []
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign and re.fullmatch(r"[A-Za-z]+", name):
            found.append((name, re.sub("%[%i]", lambda match: specifiers[match.group()], value)))
    return found


def name_servers(resolv_conf: str) -> list[str]:
    """Return the addresses of the name servers in the text *resolv_conf*, without IPv6 zones."""
    return re.findall(r"^\s*nameserver\s+([0-9a-fA-F.:]+)", resolv_conf, re.MULTILINE)


def denied_name_servers(settings: Iterable[tuple[str, object]], resolv_conf: str) -> list[str]:
    """Return the name servers in *resolv_conf*, the content of the file, that the *settings* of a sandbox deny."""
    denied = {word for name, value in settings if name == "IPAddressDeny" for word in plain(value).split()}
    return [server for server in name_servers(resolv_conf) if server in denied]
