# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an argument specification cannot say about the variables of asgi_balancer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Interface, ip_address
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils.layout import SERVER_PATTERN, balancer_server
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.acme import acme_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.edge import (
    bundle_problems,
    hsts_problems,
    least_problems,
    network,
    port_problems,
    port_range_problems,
    repeated,
    served_name_problems,
    tls_problems,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Doubt, Problem, shown

ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
HEALTH_URL = re.compile(r"/[!#-&(-\[\]-~]*")
PASSWORD = re.compile(r"[A-Za-z0-9]{1,8}")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")

AT_LEAST = {
    "asgi_balancer_health_interval": 1,
    "asgi_balancer_health_fall": 1,
    "asgi_balancer_health_rise": 1,
    "asgi_balancer_connect_timeout": 1,
    "asgi_balancer_server_timeout": 1,
    "asgi_balancer_websocket_timeout": 1,
    "asgi_balancer_hsts_max_age": 0,
}
SHARED = ("asgi_balancer_virtual_ip", "asgi_balancer_interface", "asgi_balancer_vrrp_password")


def problems(context: Context) -> list[Problem]:
    """Return every objection to the options of asgi_balancer."""
    # what the inventory says of the hosts, unless the balancer has a word of its own; as in the role's vars
    app = {f"asgi_balancer_{name}": value for name, value in context.options["asgi_balancer_app"].items()}
    options = {**app, **context.options}
    context = replace(context, options=options)
    return [
        *_server_problems(options["asgi_balancer_servers"]),
        *_host_problems(options["asgi_balancer_app"], options["asgi_balancer_address"]),
        *served_name_problems(options, "asgi_balancer"),
        *port_problems(options, "asgi_balancer"),
        *_health_problems(options),
        *least_problems(options, AT_LEAST),
        *hsts_problems(options, "asgi_balancer"),
        *tls_problems(context, "asgi_balancer", options["asgi_balancer_server_names"], datetime.now(UTC)),
        *_acme_problems(context),
        *_verify_problems(context),
        *_sharing_problems(options),
    ]


def _server_problems(servers: list[dict[str, Any]]) -> Iterator[Problem]:
    variable = "asgi_balancer_servers"
    if not servers:
        yield Problem(
            variable,
            "is empty",
            "give this balancer the asgi_name of an app that hosts of the group asgi have, or say which group with asgi_hosts",
        )
    for server in servers:
        try:
            balancer_server(server["name"])
        except ValueError as exc:
            yield Problem(variable, f"has the name {server['name']!r}: {exc}", "rename that host in the inventory")
        if not _is_address(server["address"]) and not ADDRESS.fullmatch(server["address"]):
            remedy = "give an address or a name, as asgi_balancer_address of that host"
            yield Problem(variable, f"has the address {server['address']!r} for {server['name']!r}", remedy)
        if not 1 <= server["port"] <= 65535:
            yield Problem(variable, f"has the port {server['port']} for {server['name']!r}", "a port is 1 to 65535")
        if server.get("weight") is not None and not 1 <= server["weight"] <= 256:
            yield Problem(variable, f"has the weight {server['weight']} for {server['name']!r}", "it is 1 to 256")
    for name in repeated(server["name"] for server in servers):
        yield Problem(variable, f"has the name {name!r} more than once", "give each server a name of its own")
    for address, port in repeated((server["address"], server["port"]) for server in servers):
        yield Problem(variable, f"has {address}:{port} more than once", "list each server once")


def _host_problems(app: dict[str, Any], own: str) -> Iterator[Problem]:
    """Yield the objections to hosts whose nginx would not work with a balancer that has the address *own*."""
    trusted = app.get("trusted", {})
    trusting_nobody = [host for host, networks in trusted.items() if not networks]
    if trusting_nobody:
        yield Problem(
            "asgi_proxy_trusted",
            f"is not set for {' and '.join(trusting_nobody)}, whose nginx would take the balancer for the client",
            "list the addresses of the balancers there",
        )
    yield from _distrust(trusted, own)
    if app.get("proxy_protocol"):
        yield Problem(
            "asgi_proxy_proxy_protocol",
            f"is true for {' and '.join(app['proxy_protocol'])}, and this balancer speaks HTTPS with nginx",
            "set it to false there; the client's address comes in X-Forwarded-For",
        )


def _distrust(trusted: dict[str, list[str]], own: str) -> Iterator[Doubt]:
    """Yield the doubts about hosts that trust others, and not the address *own*.

    They are no more than doubts: *own* is where the other balancers reach this one, and with two interfaces, or behind NAT,
    it comes to the hosts from another address, which no variable says.
    """
    # a name leads to an address that the controller may not know, and nobody comes to another machine from 127.0.0.1
    if not _is_address(own) or ip_address(own).is_loopback:
        return
    hosts: dict[str, list[str]] = {}
    for host, addresses in trusted.items():
        networks = filter(None, map(network, addresses or []))
        if addresses and not any(ip_address(own) in each for each in networks):
            hosts.setdefault(shown(addresses), []).append(host)
    for addresses, doubtful in hosts.items():
        yield Doubt(
            "asgi_proxy_trusted",
            f"is {addresses} for {' and '.join(doubtful)}, without {own}, the address of this balancer, which their nginx "
            f"would take for the client of every request",
            f"add {own} there and run site.yml; if this balancer comes to them from another address, see that they trust that",
        )


def _health_problems(options: dict[str, Any]) -> Iterator[Problem]:
    url, statuses = options["asgi_balancer_health_url"], options["asgi_balancer_health_statuses"]
    if not HEALTH_URL.fullmatch(url):
        yield Problem(
            "asgi_balancer_health_url", f"is {url!r}", "give a path such as /health, without quotes and backslashes"
        )
    if not statuses or any(not 100 <= status <= 599 for status in statuses):
        yield Problem("asgi_balancer_health_statuses", f"is {statuses}", "give HTTP statuses between 100 and 599")


def _acme_problems(context: Context) -> Iterator[Problem]:
    options = context.options
    if options["asgi_balancer_tls_provider"] != "acme":
        return
    yield from acme_problems(context, "asgi_balancer", ["asgi_balancer_server_names"])
    port = options["asgi_balancer_acme_port"]
    yield from port_range_problems(options, ["asgi_balancer_acme_port"])
    for variable in ("asgi_balancer_http_port", "asgi_balancer_https_port"):
        if port == options[variable]:
            remedy = "give it a port of its own: HAProxy leads the ACME server from there to certbot"
            yield Problem("asgi_balancer_acme_port", f"is {port}, as is {variable}", remedy)
    # a virtual address wants more of them, below
    for peer in [] if "asgi_balancer_virtual_ip" in options else options["asgi_balancer_peers"]:
        # an address of a network interface, such as fe80::1%eth0, is one for Python, and no name of a server
        if not (_is_address(peer) or ADDRESS.fullmatch(peer)) or not SERVER_PATTERN.fullmatch(peer):
            remedy = "set asgi_balancer_address of that balancer to its address or name"
            yield Problem("asgi_balancer_peers", f"holds {peer!r}, which is no address and no name", remedy)
    own = options["asgi_balancer_address"]
    if any(server["address"] == own for server in options["asgi_balancer_servers"]):
        remedy = "give the app and its balancers machines of their own, or set another provider"
        fault = f"is 'acme', and {own} is a host of the app, too, where asgi_proxy has a certificate at the same place"
        yield Problem("asgi_balancer_tls_provider", fault, remedy)


def _verify_problems(context: Context) -> Iterator[Problem]:
    variable = "asgi_balancer_verify"
    if context.options[variable] not in ("none", "system"):
        yield from bundle_problems(context, variable)


def _sharing_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Yield the objections to how two balancers share an address."""
    virtual, interface, password = SHARED
    for variable in (interface, password):
        if (virtual in options) != (variable in options):
            unset, is_set = (variable, virtual) if virtual in options else (virtual, variable)
            yield Problem(
                unset, f"is not set, and {is_set} is", f"set {virtual}, {interface} and {password}, or none of them"
            )
    if virtual not in options:
        return
    if not _is_interface(options[virtual]):
        remedy = "give an IPv4 address with the length of its network, such as 192.0.2.10/24"
        yield Problem(virtual, f"is {options[virtual]!r}", remedy)
    if interface in options and not INTERFACE.fullmatch(options[interface]):
        yield Problem(interface, f"is {options[interface]!r}", "give the name of an interface, such as eth0")
    if password in options and not PASSWORD.fullmatch(options[password]):
        yield Problem(password, "is not 1 to 8 letters and digits", "give such a one, the same to all balancers")
    if not 1 <= options["asgi_balancer_router_id"] <= 255:
        yield Problem("asgi_balancer_router_id", f"is {options['asgi_balancer_router_id']}", "it is 1 to 255")
    peers = options["asgi_balancer_peers"]
    for peer in peers:
        if ":" in peer or not _is_address(peer):
            remedy = "set asgi_balancer_address of that balancer to its address: VRRP looks no names up"
            yield Problem("asgi_balancer_peers", f"holds {peer!r}, which is no IPv4 address", remedy)
    own = options["asgi_balancer_address"]
    if own not in peers:
        remedy = "it is one of them: list it there, or set asgi_balancer_address to the one that is there"
        yield Problem("asgi_balancer_peers", f"is without {own!r}, the address of this balancer", remedy)
    if len(set(peers)) < 2:
        remedy = "put both balancers into the group asgi_balancers with the same asgi_name, each with an asgi_balancer_address"
        yield Problem("asgi_balancer_peers", f"is {peers}, and it takes two to share an address", remedy)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_interface(text: str) -> bool:
    try:
        IPv4Interface(text)
    except ValueError:
        return False
    return re.fullmatch(r".+/\d+", text) is not None
