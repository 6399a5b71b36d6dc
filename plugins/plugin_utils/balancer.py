# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a balancer has to know of an app, from what the inventory says of the app's hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.plugin_utils.options import problems_of

# Where the inventory does not say it, the roles' defaults hold; a test compares them.
DEFAULTS = {
    "asgi_proxy_https_port": 443,
    "asgi_proxy_redirect_names": [],
    "asgi_proxy_tls_provider": "selfsigned",
    "asgi_proxy_proxy_protocol": False,
    "asgi_proxy_trusted": [],
    "asgi_proxy_locations": [],
    "asgi_proxy_read_timeout": 60,
    "asgi_proxy_websocket_timeout": 3600,
    "asgi_server_probe_path": "/health",
    "asgi_server_probe_statuses": [200],
}
KINDS = {int: "int", list: "list", bool: "bool", str: "str"}
# The app host is to be the one that gives up: it says 504, and HAProxy could only hang up.
MARGIN_SECONDS = 5
# Besides the address, what leads Ansible to one machine or another.
WAYS = (
    "ansible_connection",
    "ansible_port",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "asgi_balancer_address",
)


def balanced_app(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return what a balancer has to know of the app *name*, of which those *hosts* that have it are the servers.

    Raises ValueError for a variable of a host that has another type than its role wants.
    """
    own = {host: hostvars[host] for host in hosts if hostvars[host].get("asgi_name") == name}
    for host, variables in own.items():
        _refuse_mistyped(host, variables)

    def of(variables: Mapping[str, Any], variable: str) -> Any:
        return variables.get(variable, DEFAULTS[variable])

    def every(variable: str) -> list[Any]:
        return [of(variables, variable) for variables in own.values()]

    first = next(iter(own.values()), {})
    read_timeouts = every("asgi_proxy_read_timeout") + [
        location["read_timeout"]
        for locations in every("asgi_proxy_locations")
        for location in locations
        if location.get("read_timeout") is not None
    ]
    names = [
        dns_name
        for variables in own.values()
        for dns_name in [*variables.get("asgi_proxy_server_names", []), *of(variables, "asgi_proxy_redirect_names")]
    ]
    return {
        "servers": [
            {"name": host, "address": address_of(host, variables), "port": of(variables, "asgi_proxy_https_port")}
            for host, variables in own.items()
        ],
        "server_names": list(dict.fromkeys(names)),
        "health_url": first.get("asgi_proxy_health_url", of(first, "asgi_server_probe_path")),
        "health_statuses": of(first, "asgi_server_probe_statuses"),
        # with certificates that sign themselves there is nobody to ask
        "verify": "none" if "selfsigned" in every("asgi_proxy_tls_provider") or not own else "system",
        "server_timeout": max(read_timeouts, default=DEFAULTS["asgi_proxy_read_timeout"]) + MARGIN_SECONDS,
        "websocket_timeout": max(
            every("asgi_proxy_websocket_timeout"), default=DEFAULTS["asgi_proxy_websocket_timeout"]
        )
        + MARGIN_SECONDS,
        # whom each host believes, and hosts that would not understand a balancer
        "trusted": {host: of(variables, "asgi_proxy_trusted") for host, variables in own.items()},
        "proxy_protocol": [host for host, variables in own.items() if of(variables, "asgi_proxy_proxy_protocol")],
    }


def _refuse_mistyped(host: str, variables: Mapping[str, Any]) -> None:
    for name, default in DEFAULTS.items():
        if name in variables:
            _refuse(host, name, variables[name], KINDS[type(default)])
    for index, location in enumerate(variables.get("asgi_proxy_locations", [])):
        if isinstance(location, Mapping) and location.get("read_timeout") is not None:
            _refuse(host, f"asgi_proxy_locations[{index}].read_timeout", location["read_timeout"], "int")


def _refuse(host: str, name: str, value: Any, kind: str) -> None:
    if value is None:
        raise ValueError(f"{name} of {host} is null -> leave it out for the default")
    for problem in problems_of(name, value, {"type": kind}):
        raise ValueError(f"{problem.variable} of {host} {problem.fault} -> {problem.remedy}")


def address_of(host: str, variables: Mapping[str, Any]) -> str:
    """Return where balancers reach *host*."""
    return str(variables.get("asgi_balancer_address") or variables.get("ansible_host") or host)


def peers(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    """Return the addresses of the balancers of the app *name*, in the order of the inventory, each once."""
    return list(
        dict.fromkeys(address_of(host, hostvars[host]) for host in hosts if hostvars[host].get("asgi_name") == name)
    )


def balancers_of(
    balancers: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str]
) -> dict[str, list[str] | None]:
    """Return which of *balancers* are to be asked about *hosts*, and the backends that each has to know.

    That is every machine once: those of other apps may have traffic for the machines of *hosts*, too. A balancer has to know
    the apps that its names in the inventory are of; one of no app in particular all of them, which is None. A machine goes by
    the first of its names that is of an app of *hosts*, if there is one.

    Raises ValueError for an ``asgi_name`` that cannot name an app.
    """
    names = {hostvars[host].get("asgi_name") for host in hosts}
    machines: dict[tuple[str, ...], str] = {}
    found: dict[str, list[str] | None] = {}
    for balancer in sorted(balancers, key=lambda each: hostvars[each].get("asgi_name") not in names):
        first = machines.setdefault(_machine(balancer, hostvars[balancer]), balancer)
        known = found.setdefault(first, [])
        name = hostvars[balancer].get("asgi_name")
        if name is None:
            found[first] = None
        elif known is not None:
            known.append(layout(name)["balancer"]["backend"])
    return found


def _machine(host: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is the same of two names of one machine; where two machines look alike, each would have to be asked."""
    return (str(variables.get("ansible_host") or host), *(str(variables.get(name) or "") for name in WAYS))
