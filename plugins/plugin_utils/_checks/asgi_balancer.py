# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the values of asgi_balancer's variables. _values/options.py checks the types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SERVER_PATTERN, balancer_server
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.acme import acme_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.frontend import (
    bundle_problems,
    hsts_problems,
    least_problems,
    port_problems,
    port_range_problems,
    public_port_problems,
    repeated,
    served_name_problems,
    status_problems,
    tls_problems,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import trusted_faults
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.addresses import address, network
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Doubt, Problem, shown

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
    """Return the problems in the role's variables."""
    # As in the role's vars/main.yml, the values of the app hosts apply unless the balancer overrides them.
    app = {
        f"asgi_balancer_{name}": value
        for name, value in context.options["asgi_balancer_app"].items()
        if value is not None
    }
    options = {**app, **context.options}
    context = replace(context, options=options)
    return [
        *_backend_problems(options["asgi_balancer_servers"]),
        *_host_problems(options["asgi_balancer_app"], options["asgi_balancer_address"]),
        *served_name_problems(options, "asgi_balancer"),
        *port_problems(options, "asgi_balancer"),
        *public_port_problems(options, "asgi_balancer"),
        *_health_problems(options),
        *least_problems(options, AT_LEAST),
        *hsts_problems(options, "asgi_balancer"),
        *tls_problems(context, "asgi_balancer", options["asgi_balancer_server_names"], datetime.now(UTC)),
        *_acme_problems(context),
        *_verify_problems(context),
        *_virtual_ip_problems(options),
    ]


def _backend_problems(servers: list[dict[str, Any]]) -> Iterator[Problem]:
    variable = "asgi_balancer_servers"
    if not servers:
        yield Problem("backends-empty", variable, "is empty")
    for server in servers:
        name, where = server["name"], f"for {server['name']!r}"
        try:
            balancer_server(name)
        except ValueError as exc:
            yield Problem("backend-name-invalid", variable, f"contains the name {name!r}: {exc}")
        if not address(server["address"]) and not ADDRESS.fullmatch(server["address"]):
            fault = f"contains the address {server['address']!r} {where}"
            yield Problem("backend-address-invalid", variable, fault)
        if not 1 <= server["port"] <= 65535:
            yield Problem("port-out-of-range", variable, f"contains the port {server['port']} {where}")
        if server.get("weight") is not None and not 1 <= server["weight"] <= 256:
            fault = f"contains the weight {server['weight']} {where}"
            yield Problem("number-out-of-range", variable, fault, "use a weight from 1 to 256")
    for name in repeated(server["name"] for server in servers):
        yield Problem("backend-duplicate", variable, f"contains the name {name!r} more than once")
    for where, port in repeated((server["address"], server["port"]) for server in servers):
        yield Problem("backend-duplicate", variable, f"contains {where}:{port} more than once")


def _host_problems(app: dict[str, Any], own: str) -> Iterator[Problem]:
    """Yield the problems of app hosts whose variables do not fit a balancer with the address *own*."""
    trusted = app.get("trusted") or {}
    without_trust = [host for host, networks in trusted.items() if not networks]
    if without_trust:
        fault = f"is not set for {' and '.join(without_trust)}, whose nginx would treat the balancer as the client"
        yield Problem("balancer-trusted-empty", "asgi_proxy_trusted", fault)
    yield from _distrust(trusted, own)
    # HAProxy removes these headers, so its configuration contains their names. Check them here too.
    for code, fault, remedy in trusted_faults(app.get("trusted_headers") or []):
        yield Problem(code, "asgi_proxy_trusted_headers", f"of the hosts {fault}", remedy)
    if app.get("proxy_protocol"):
        hosts = " and ".join(app["proxy_protocol"])
        fault = f"is true for {hosts}, but this balancer sends HTTPS to nginx"
        yield Problem("balancer-proxy-protocol", "asgi_proxy_proxy_protocol", fault)


def _distrust(trusted: dict[str, list[str]], own: str) -> Iterator[Doubt]:
    """Yield a doubt for hosts that trust other addresses but not *own*.

    This may be correct, so it is only a warning: *own* is the address at which other machines reach the balancer. With two interfaces or
    behind NAT, the app hosts see another source address, which no variable contains.
    """
    # Skip names, which the controller may be unable to resolve, and loopback addresses, which no remote connection comes from.
    if not address(own) or address(own).is_loopback:
        return
    hosts: dict[str, list[str]] = {}
    for host, addresses in trusted.items():
        networks = filter(None, map(network, addresses or []))
        if addresses and not any(address(own) in each for each in networks):
            hosts.setdefault(shown(addresses), []).append(host)
    for addresses, doubtful in hosts.items():
        yield Doubt(
            "balancer-not-trusted",
            "asgi_proxy_trusted",
            f"is {addresses} for {' and '.join(doubtful)}, without {own}, the address of this balancer, which their nginx "
            f"would treat as the client of every request",
            f"add {own} there and run site.yml; if this balancer reaches them from another address, add that address",
        )


def _health_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable, url = "asgi_balancer_health_url", options["asgi_balancer_health_url"]
    if not HEALTH_URL.fullmatch(url):
        remedy = "use a path such as /health, without quotes and backslashes"
        yield Problem("health-url-invalid", variable, f"is {url!r}", remedy)
    yield from status_problems(options, "asgi_balancer_health_statuses")


def _acme_problems(context: Context) -> Iterator[Problem]:
    options = context.options
    if options["asgi_balancer_tls_provider"] != "acme":
        return
    yield from acme_problems(context, "asgi_balancer", ["asgi_balancer_server_names"])
    port = options["asgi_balancer_acme_port"]
    yield from port_range_problems(options, ["asgi_balancer_acme_port"])
    for variable in ("asgi_balancer_http_port", "asgi_balancer_https_port"):
        if port == options[variable]:
            remedy = "use a different port, to which HAProxy forwards the requests of the ACME server"
            yield Problem("port-duplicate", "asgi_balancer_acme_port", f"is {port}, like {variable}", remedy)
    # With a virtual address, peers have stricter requirements: see _virtual_ip_problems.
    for peer in [] if "asgi_balancer_virtual_ip" in options else options["asgi_balancer_peers"]:
        if not (address(peer) or ADDRESS.fullmatch(peer)) or not SERVER_PATTERN.fullmatch(peer):
            fault = f"contains {peer!r}, which is neither an address nor a host name"
            remedy = "set asgi_balancer_address of that balancer to its address or name"
            yield Problem("balancer-peer-invalid", "asgi_balancer_peers", fault, remedy)
    own = options["asgi_balancer_address"]
    if any(server["address"] == own for server in options["asgi_balancer_servers"]):
        fault = (
            f"is 'acme', but {own} is also a host of the app, where asgi_proxy uses the same path for its certificate"
        )
        yield Problem("acme-balancer-on-app-host", "asgi_balancer_tls_provider", fault)


def _verify_problems(context: Context) -> Iterator[Problem]:
    variable = "asgi_balancer_verify"
    if context.options[variable] not in ("none", "system"):
        yield from bundle_problems(context, variable)


def _virtual_ip_problems(options: dict[str, Any]) -> Iterator[Problem]:
    virtual, interface, password = SHARED
    for variable in (interface, password):
        if (virtual in options) != (variable in options):
            unset, is_set = (variable, virtual) if virtual in options else (virtual, variable)
            remedy = f"set {virtual}, {interface} and {password}, or none of them"
            yield Problem("virtual-ip-incomplete", unset, f"is not set, but {is_set} is", remedy)
    if virtual not in options:
        return
    if not _is_interface(options[virtual]):
        yield Problem("virtual-ip-invalid", virtual, f"is {options[virtual]!r}")
    if interface in options and not INTERFACE.fullmatch(options[interface]):
        yield Problem("interface-name-invalid", interface, f"is {options[interface]!r}")
    if password in options and not PASSWORD.fullmatch(options[password]):
        yield Problem("vrrp-password-invalid", password, "is not 1 to 8 letters and digits")
    router_id = options["asgi_balancer_router_id"]
    if not 1 <= router_id <= 255:
        yield Problem("number-out-of-range", "asgi_balancer_router_id", f"is {router_id}", "use an id from 1 to 255")
    variable, peers = "asgi_balancer_peers", options["asgi_balancer_peers"]
    for peer in peers:
        if ":" in peer or not address(peer):
            remedy = "set asgi_balancer_address of that balancer to its address: VRRP resolves no names"
            yield Problem("balancer-peer-invalid", variable, f"contains {peer!r}, which is not an IPv4 address", remedy)
    own = options["asgi_balancer_address"]
    if own not in peers:
        yield Problem(
            "balancer-peers-without-self", variable, f"does not contain {own!r}, the address of this balancer"
        )
    if len(set(peers)) < 2:
        yield Problem("balancer-peers-too-few", variable, f"is {peers}, but a virtual address needs two balancers")


def _is_interface(text: str) -> bool:
    return "/" in text and ":" not in text and network(text) is not None
