# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find clashes on this host: another site or program already uses server names or ports of an app, or other settings for its ports.

The module release fails on a clash before it builds anything, and nginx_site before it writes a site. plugin_utils/_checks/claims.py
collects the claims of an app.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.metrics_endpoint import (
    ANOTHER,
    Endpoint,
    Unusable,
    check_group,
    in_use,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.daemon_files import disagreements, show_service
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import NGINX_SITES, layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.port_holders import port_faults
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.joined import Joined, path_faults
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import (
    Server,
    read_servers,
    servers,
    spellings,
)

NGINX = "/etc/nginx/nginx.conf"
NGINX_UNIT = "nginx.service"
SITES = Path(NGINX_SITES)
# Server name of the status page, the only server on its port.
NO_NAME = "_"
# Prefix of the files in conf.d that all apps of this collection share.
SHARED = "asgi-0"


def names_by_port(servers: Iterable[Server]) -> dict[int, set[str]]:
    """Return the names that *servers* serve, by port."""
    found: dict[int, set[str]] = {}
    for server in servers:
        for listen in server.listens:
            found.setdefault(listen.port, set()).update(*map(spellings, server.names))
    return found


def served_by_others(wanted: Mapping[int, Iterable[str]], others: Iterable[Server]) -> list[tuple[str, int, str]]:
    """Return (name, port, file) for each name in *wanted*, a mapping of ports to names, that a server in *others* already serves.

    Listen addresses are ignored: if only one of two sites listens on an address explicitly, requests to it never reach the other site.
    """
    found = {
        (name, port, other.file)
        for other in others
        for listen in other.listens
        for port, names in wanted.items()
        for name in names
        if listen.port == port and spellings(name) & {each for served in other.names for each in spellings(served)}
    }
    return sorted(found)


def name_faults(wanted: Mapping[int, Iterable[str]], others: Iterable[Server]) -> list[tuple[str, str]]:
    """Return (name, message) for each name in *wanted*, a mapping of ports to names, that a server in *others* already serves."""
    return [
        (name, f"{'a server without a name' if name == NO_NAME else name} on port {port} is served by {file} already")
        for name, port, file in served_by_others(wanted, others)
    ]


def setting_faults(
    port: int, wanted: Mapping[str, str], shared: str | None, others: list[str]
) -> list[tuple[str, str]]:
    """Return (setting, message) for each setting of *port* in *wanted* that differs from the one of the other sites *others*.

    The text *shared* records the current settings. Without other sites, all settings are acceptable.
    """
    values = " ".join(f"{name}={value}" for name, value in wanted.items())
    found = disagreements(shared or "", f"# Agreed on port {port}: {values}\n") if others else []
    return [
        (each.split()[0], f"all sites of port {port} share some settings, and {each}: see {' and '.join(others)}")
        for each in found
    ]


def listening_sites(directory: Path, port: int, without: Container[Path]) -> list[str]:
    """Return the sites in *directory* that listen on *port*, except those in *without* and the shared files."""
    return [
        str(site)
        for site in sorted(directory.glob("*.conf"))
        if site not in without
        and not site.name.startswith(SHARED)
        and any(server.listens_on(port) for server in servers(read_text(str(site), errors="replace") or ""))
    ]


def clashes(app: str, claims: Mapping, run_command: Callable) -> list[str]:
    """Return a message with a remedy for each clash between the *claims* of *app* and this host."""
    paths = layout(app)
    return [
        *_names(paths["nginx_site"], _numbered(claims.get("names"))),
        *_paths(app, claims.get("path")),
        *_ports(claims, run_command),
        *(() if claims.get("change_port") else _settings(paths["nginx_site"], _numbered(claims.get("agreed")))),
        *_metrics(paths, claims, run_command),
    ]


def _numbered(by_port: Mapping | None) -> dict:
    # Ansible converts the keys of dictionaries in module arguments to strings.
    return {int(port): value for port, value in (by_port or {}).items()}


def _names(own_site: str, wanted: dict[int, list[str]]) -> Iterator[str]:
    if wanted:
        for name, fault in name_faults(wanted, read_servers(NGINX, without=[own_site])):
            setting = "asgi_proxy_status_listen" if name == NO_NAME else "name"
            yield f"{fault} -> choose another {setting}, or remove that site"


def _paths(app: str, wanted: Mapping | None) -> Iterator[str]:
    if wanted:
        for fault in path_faults(app, Joined(**wanted), SITES):
            yield f"{fault} -> choose another asgi_proxy_path, or remove that app"


def _ports(claims: Mapping, run_command: Callable) -> Iterator[str]:
    """Yield a message for each of nginx's ports that another program holds."""
    of_nginx = [each for each in claims.get("listeners") or [] if each["variable"].startswith("asgi_proxy_")]
    # A port on one address is free if another program holds the port only on other addresses.
    tcp = {each["port"]: each["variable"] for each in of_nginx if each["address"] == "*" or in_use(_at(each))}
    udp = {
        port: variable for port, variable in tcp.items() if claims.get("http3") and variable == "asgi_proxy_https_port"
    }
    if tcp:
        for port, fault in port_faults(tcp, udp, show_service(run_command, NGINX_UNIT).main_pid, NGINX_UNIT):
            yield f"{fault} -> stop that program, or choose another {tcp[port]}"


def _at(listener: Mapping) -> str:
    return f"{listener['address']}:{listener['port']}"


def _settings(own_site: str, agreed: dict[int, dict[str, str]]) -> Iterator[str]:
    for port, settings in sorted(agreed.items()):
        shared = read_text(str(SITES / f"{SHARED}1-default-{port}.conf"), errors="replace")
        others = listening_sites(SITES, port, without=[Path(own_site)])
        for name, fault in setting_faults(port, settings, shared, others):
            yield (
                f"{fault} -> set the same value for this app (asgi_proxy_{name}), choose another port, or change all sites with "
                f"-e '{{\"asgi_proxy_change_port\": true}}' for this run"
            )


def _metrics(paths: dict, claims: Mapping, run_command: Callable) -> Iterator[str]:
    address, group = claims.get("metrics"), claims.get("metrics_group")
    try:
        if group:
            check_group(group)
        if address:
            Endpoint(paths, Systemd(run_command), dry=True).check_address(address)
    except Unusable as exc:
        yield str(exc)
    except OSError as exc:
        yield f"this host cannot listen at {address}: {exc.strerror or exc} -> {ANOTHER}"
