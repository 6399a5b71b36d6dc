# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox in which a release is built, because building, installing and inspecting packages executes their code."""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import name_servers
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import (
    APPS,
    CACHE_DIRECTORY,
    CONFIGURATION_DIRECTORY,
)

# Cloud metadata services, which return the credentials of the machine's role: link-local addresses, Alibaba and AWS.
METADATA = "169.254.0.0/16 fe80::/64 100.100.100.200 fd00:ec2::254 fd00:ec2::23"

# Targets of the symlink /etc/resolv.conf below /run, for name resolution. Sockets in these directories are unusable without AF_UNIX.
RESOLVERS = ("systemd/resolve", "resolvconf", "NetworkManager/resolv.conf", "connman/resolv.conf")

FIXED = (
    ("Nice", "10"),
    ("UMask", "0022"),
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateIPC", "yes"),
    ("PrivateMounts", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("KeyringMode", "private"),
    ("RemoveIPC", "yes"),
    # No AF_UNIX: a build could pass an open file out of the sandbox through a unix socket, and write to the file after root owns the
    # release.
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_NETLINK"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    # io_uring bypasses RestrictAddressFamilies=.
    ("SystemCallFilter", "~io_uring_setup io_uring_enter io_uring_register"),
    ("SystemCallErrorNumber", "EPERM"),
    ("LimitCORE", "0"),
    ("MemoryMax", "80%"),
    ("TasksMax", "20%"),
    ("TemporaryFileSystem", f"{APPS}:ro"),
    ("TemporaryFileSystem", f"{CACHE_DIRECTORY}:ro"),
    ("TemporaryFileSystem", "/run:ro"),
    ("TemporaryFileSystem", "/dev/shm:rw,nosuid,nodev,mode=1777,size=25%"),
    ("BindReadOnlyPaths", " ".join(f"-/run/{path}" for path in RESOLVERS)),
    ("InaccessiblePaths", f"-{CONFIGURATION_DIRECTORY}"),
)


def build_properties(
    directory: str, cache: str, wheels: str | None, resolv_conf: str | None = None
) -> list[tuple[str, str]]:
    """Return the properties of a unit that builds the release in *directory* with the app's *cache*.

    A build from the wheel store *wheels* has no network access. Any other build can reach the name servers in *resolv_conf*, the content of
    /etc/resolv.conf, even if they share the address of a metadata service, as on Google Cloud.
    """
    found = [*FIXED, ("BindPaths", f"{directory} {cache}"), ("ReadWritePaths", f"{directory} {cache}")]
    if wheels is not None:
        return [*found, ("PrivateNetwork", "yes"), ("BindReadOnlyPaths", wheels)]
    found.append(("IPAddressDeny", METADATA))
    allowed = [server for server in name_servers(resolv_conf or "") if server.startswith(("169.254.", "fe80:"))]
    return [*found, *(("IPAddressAllow", server) for server in allowed)]
