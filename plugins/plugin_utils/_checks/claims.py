# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The claims of an app on its host: its server names and ports, and the settings of shared ports on which all apps must agree.

On the host, the module release compares them with the other apps (module_utils/_proxy/clashes.py) before it stages anything. This module
compares the claims of inventory hosts that are the same machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.clashes import NO_NAME, spellings
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.joined import is_below
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import machine_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.vrrp import vrrp_clashes
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem, line

STATUS = "asgi_proxy_status_listen"
ANY = ("", "*", "0.0.0.0", "[::]", "[::0]")


class Listener(NamedTuple):
    """An address on which an app or its nginx listens, and the variable that configures it."""

    variable: str
    address: str
    port: int


def claims(options: Mapping[str, Any], roles: Iterable[str]) -> dict[str, Any]:
    """Return the claims of the app from the *options* of its *roles*, in the format that the module release requires."""
    found = {
        "app": options["asgi_name"],
        "listeners": [
            each._asdict()
            for each in listeners(options)
            if each.variable.startswith(tuple(f"{role}_" for role in roles))
        ],
    }
    if "asgi_server" in roles and options["asgi_server_metrics"]:
        listen = options.get("asgi_server_metrics_listen")
        if listen:
            found["metrics"] = listen
        if not listen or listen.startswith("/"):
            found["metrics_group"] = options["asgi_server_metrics_group"]
    return {**found, **(_of_site(options) if "asgi_proxy" in roles else {})}


def _of_site(options: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("asgi_proxy_path") is not None:
        # The names, ports and their settings are claims of the app that owns the name.
        name = next(iter(options["asgi_proxy_server_names"]), "")
        return {
            "path": {"path": options["asgi_proxy_path"], "name": name, "strips": options["asgi_proxy_strip_path"]},
            "names": {str(each.port): [NO_NAME] for each in listeners(options) if each.variable == STATUS},
        }
    # Strings, because Ansible converts dictionary keys in module arguments to strings.
    http, https = str(options["asgi_proxy_http_port"]), str(options["asgi_proxy_https_port"])
    acme = options["asgi_proxy_tls_provider"] == "acme"
    clients = [*options["asgi_proxy_server_names"], *options["asgi_proxy_redirect_names"]]
    plain = [
        *(clients if options["asgi_proxy_redirect"] else []),
        *([*clients, *options["asgi_proxy_acme_extra_names"]] if acme else []),
    ]
    agreed = {name: str(options[f"asgi_proxy_{name}"]).lower() for name in ("ipv6", "proxy_protocol")}
    status = [str(each.port) for each in listeners(options) if each.variable == STATUS]
    return {
        "names": {
            https: clients,
            **({http: list(dict.fromkeys(plain))} if plain else {}),
            **{port: [NO_NAME] for port in status},
        },
        "agreed": {
            https: {
                **agreed,
                "tls_profile": options["asgi_proxy_tls_profile"],
                "require_sni": str(options["asgi_proxy_require_sni"]).lower(),
            },
            **({http: agreed} if plain else {}),
        },
        "urls": _urls(options),
        "http3": options["asgi_proxy_http3"],
        "change_port": options["asgi_proxy_change_port"],
    }


def _urls(options: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the URLs that the variables of the site configure, each with its variable."""
    found = [
        (variable, entry["url"])
        for variable in ("asgi_proxy_locations", "asgi_proxy_static")
        for entry in options[variable]
    ]
    if options.get("asgi_proxy_health_url") is not None:
        found.append(("asgi_proxy_health_url", options["asgi_proxy_health_url"]))
    return [{"variable": variable, "url": url} for variable, url in found]


def listeners(options: Mapping[str, Any]) -> list[Listener]:
    """Return the TCP listeners of the app and its site with these *options*. Unix sockets are omitted."""
    found = []
    if "asgi_proxy_https_port" in options and options.get("asgi_proxy_path") is None:
        found.append(Listener("asgi_proxy_https_port", "*", options["asgi_proxy_https_port"]))
        if options.get("asgi_proxy_redirect") or options.get("asgi_proxy_tls_provider") == "acme":
            found.append(Listener("asgi_proxy_http_port", "*", options["asgi_proxy_http_port"]))
    if "asgi_proxy_https_port" in options:
        found += _at(STATUS, options.get(STATUS))
    if options.get("asgi_server_metrics"):
        found += _at("asgi_server_metrics_listen", options.get("asgi_server_metrics_listen"))
    return found


def _at(variable: str, where: str | None) -> list[Listener]:
    address, colon, port = (where or "").rpartition(":")
    number = whole(port)
    return [Listener(variable, address, number)] if colon and number is not None and not address.startswith("/") else []


def overlap(one: Listener, other: Listener) -> bool:
    """Return whether the listeners conflict: they have the same port, and the same address or the address of all interfaces."""
    return one.port == other.port and (one.address == other.address or bool({one.address, other.address} & set(ANY)))


def distinct_ports(options: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each port that one app uses twice."""
    return [
        Problem("port-duplicate", other.variable, f"is {_shown(other)}, but {one.variable} is {_shown(one)}")
        for one, other in combinations(listeners(options), 2)
        # frontend.port_problems already compares the HTTP and HTTPS ports.
        if overlap(one, other)
        and not {one.variable, other.variable} <= {"asgi_proxy_http_port", "asgi_proxy_https_port"}
    ]


def _shown(listener: Listener) -> str:
    return str(listener.port) if listener.address == "*" else f"{listener.address}:{listener.port}"


def shared_claims(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], register: str) -> list[str]:
    """Return the clashes between *hosts* that are the same machine, and between balancers that share an address.

    *register* is the name of the variable that holds preflight's result. Two hosts are the same machine if Ansible connects to both in the
    same way.
    """
    machines: dict[tuple[str, ...], list[tuple[str, dict]]] = {}
    for host in hosts:
        result = hostvars[host].get(register) or {}
        if result.get("claims"):
            machines.setdefault(machine_of(host, hostvars[host]), []).append((host, result["claims"]))
    found = [
        f"{one} and {other} are names of one machine, and {fault}"
        for same in machines.values()
        for (one, first), (other, second) in combinations(same, 2)
        for fault in _faults(first, second)
    ]
    return found + vrrp_clashes(hosts, hostvars, register)


def _place(claim: Mapping[str, Any]) -> tuple[str, str]:
    return claim["path"]["name"], claim["path"]["path"]


def _urls_below(owner: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return a message for each URL in the variables of *owner* that is below the path of *other*."""
    names = {name for served in owner.get("names", {}).values() for name in served}
    if "path" not in other or other["path"]["name"] not in names:
        return []
    path = other["path"]["path"]
    return [
        line(
            "machine-path-overlap",
            f"{each['variable']} of {owner['app']} contains {each['url']!r}, but {path} belongs to {other['app']}",
        )
        for each in owner.get("urls", ())
        if is_below(each["url"], path)
    ]


def _faults(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    if one["app"] == other["app"]:
        return [line("machine-app-duplicate", f"both have the app {one['app']}")]
    found = []
    for port, names in one.get("names", {}).items():
        taken = {each for name in other.get("names", {}).get(port, ()) for each in spellings(name)}
        found += [
            line("machine-server-name-duplicate", f"both serve {name} on port {port}")
            for name in names
            # A status page has no server name. The comparison of the listeners below covers its port.
            if name != NO_NAME and spellings(name) & taken
        ]
    if "path" in one and "path" in other and _place(one) == _place(other):
        found.append(
            line("machine-path-duplicate", f"both have the path {one['path']['path']} of {one['path']['name']}")
        )
    found += [*_urls_below(one, other), *_urls_below(other, one)]
    listeners, other_listeners = ([Listener(**listener) for listener in each["listeners"]] for each in (one, other))
    found += [
        line("machine-port-duplicate", f"both use port {first.port} ({first.variable}, {second.variable})")
        for first in listeners
        for second in other_listeners
        # All apps share the HTTP and HTTPS ports of nginx or HAProxy.
        if overlap(first, second) and not (first.address == second.address == "*")
    ]
    for port, settings in one.get("agreed", {}).items():
        found += [
            line(
                "machine-port-settings-differ",
                f"on port {port}, asgi_proxy_{name} is {value} and {other['agreed'][port][name]}",
            )
            for name, value in settings.items()
            if other.get("agreed", {}).get(port, {}).get(name, value) != value
        ]
    return found
