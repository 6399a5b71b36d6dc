# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Derive the configuration of load balancers from the variables of the app hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import unique
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.options import problems_of

# The roles' defaults, for hosts that do not set the variable. A test compares them with the roles.
DEFAULTS = {
    "asgi_proxy_https_port": 443,
    "asgi_proxy_redirect_names": [],
    "asgi_proxy_tls_provider": "selfsigned",
    "asgi_proxy_proxy_protocol": False,
    "asgi_proxy_trusted": [],
    "asgi_proxy_locations": [],
    "asgi_proxy_read_timeout": 60,
    "asgi_proxy_websocket_timeout": 3600,
    "asgi_proxy_trusted_headers": [],
    "asgi_server_probe_path": "/health",
    "asgi_server_probe_statuses": [200],
}
# Default of asgi_balancer_https_port.
BALANCER_HTTPS_PORT = 443
KINDS = {int: "int", list: "list", bool: "bool", str: "str"}
# nginx on the app host must time out before HAProxy: nginx responds with 504, but HAProxy could only close the connection.
MARGIN_SECONDS = 5
# Variables besides the address that select the machine that Ansible connects to.
CONNECTION_VARIABLES = (
    "ansible_connection",
    "ansible_port",
    "ansible_docker_extra_args",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    # aliases of ansible_host and ansible_port
    "ansible_ssh_host",
    "ansible_ssh_port",
    "asgi_balancer_address",
)


def balanced_app(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the configuration that a balancer of the app *name* needs; its servers are those *hosts* that have the app.

    Raises ValueError if a variable of a host has the wrong type.
    """
    of_app = {host: hostvars[host] for host in hosts if hostvars[host].get("asgi_name") == name}
    for host, variables in of_app.items():
        _reject_mistyped(host, variables)

    def value(variables: Mapping[str, Any], variable: str) -> Any:
        return variables.get(variable, DEFAULTS[variable])

    def every(variable: str) -> list[Any]:
        return [value(variables, variable) for variables in of_app.values()]

    first = next(iter(of_app.values()), {})
    read_timeouts = every("asgi_proxy_read_timeout") + [
        location["read_timeout"]
        for locations in every("asgi_proxy_locations")
        for location in locations
        if location.get("read_timeout") is not None
    ]
    names = [
        dns_name
        for variables in of_app.values()
        for dns_name in [*variables.get("asgi_proxy_server_names", []), *value(variables, "asgi_proxy_redirect_names")]
    ]
    return {
        "servers": [
            {"name": host, "address": address_of(host, variables), "port": value(variables, "asgi_proxy_https_port")}
            for host, variables in of_app.items()
        ],
        "server_names": list(dict.fromkeys(names)),
        "health_url": first.get("asgi_proxy_health_url", value(first, "asgi_server_probe_path")),
        "health_statuses": value(first, "asgi_server_probe_statuses"),
        # HAProxy cannot verify a self-signed certificate
        "verify": "none" if "selfsigned" in every("asgi_proxy_tls_provider") or not of_app else "system",
        "server_timeout": max(read_timeouts, default=DEFAULTS["asgi_proxy_read_timeout"]) + MARGIN_SECONDS,
        "websocket_timeout": max(
            every("asgi_proxy_websocket_timeout"), default=DEFAULTS["asgi_proxy_websocket_timeout"]
        )
        + MARGIN_SECONDS,
        # nginx trusts these headers from a balancer, so the balancer must remove them from clients' requests.
        "trusted_headers": unique(name for names in every("asgi_proxy_trusted_headers") for name in names),
        # for checks: the proxies that each host trusts, and the hosts that expect the PROXY protocol
        "trusted": {host: value(variables, "asgi_proxy_trusted") for host, variables in of_app.items()},
        "proxy_protocol": [host for host, variables in of_app.items() if value(variables, "asgi_proxy_proxy_protocol")],
    }


def _reject_mistyped(host: str, variables: Mapping[str, Any]) -> None:
    for name, default in DEFAULTS.items():
        if name in variables:
            _reject(host, name, variables[name], KINDS[type(default)])
    for index, location in enumerate(variables.get("asgi_proxy_locations", [])):
        if isinstance(location, Mapping) and location.get("read_timeout") is not None:
            _reject(host, f"asgi_proxy_locations[{index}].read_timeout", location["read_timeout"], "int")


def _reject(host: str, name: str, value: Any, kind: str) -> None:
    if value is None:
        raise ValueError(f"{name} of {host} is null -> remove it for the default [value-null]")
    for problem in problems_of(name, value, {"type": kind}):
        raise ValueError(f"{problem.variable} of {host} {problem.fault} -> {problem.remedy} [{problem.code}]")


def address_of(host: str, variables: Mapping[str, Any]) -> str:
    """Return the address at which balancers reach *host*."""
    return str(variables.get("asgi_balancer_address") or variables.get("ansible_host") or host)


def peers(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    """Return the distinct addresses of the balancers of the app *name*, in the order of the inventory."""
    return list(
        dict.fromkeys(address_of(host, hostvars[host]) for host in hosts if hostvars[host].get("asgi_name") == name)
    )


def ports(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> list[int]:
    """Return the ports at which clients reach the app *name* through its balancers among *hosts*.

    Values that are not integers are omitted; the balancer's own checks report them.
    """
    used: list[Any] = []
    for variables in (hostvars[host] for host in hosts):
        if variables.get("asgi_name") == name:
            used.append(variables.get("asgi_balancer_https_port", BALANCER_HTTPS_PORT))
            used += variables.get("asgi_balancer_public_ports") or []
    return sorted({port for port in used if isinstance(port, int)})


def machine_of(host: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return an identifier of the machine; two inventory names share it if Ansible connects to both in the same way."""
    return (
        str(variables.get("ansible_host") or host),
        *(str(variables.get(name) or "") for name in CONNECTION_VARIABLES),
    )
