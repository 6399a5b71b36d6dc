# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of virtual addresses shared by balancers: in the inventory, on a host's interfaces, and on the running system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_interface
from itertools import combinations
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import line


def balancer_claims(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims of the balancer with these *options*, on its host and in its network."""
    # as in the role's vars, the value of the app hosts applies unless the balancer overrides it
    names = options.get("asgi_balancer_server_names", options["asgi_balancer_app"].get("server_names", []))
    ports = ["asgi_balancer_https_port"] + (
        ["asgi_balancer_http_port"]
        if options["asgi_balancer_redirect"] or options["asgi_balancer_tls_provider"] == "acme"
        else []
    )
    found: dict[str, Any] = {
        "app": options["asgi_name"],
        "names": {str(options[port]): list(names) for port in ports},
        "listeners": [{"variable": port, "address": "*", "port": options[port]} for port in ports],
    }
    if "asgi_balancer_virtual_ip" in options:
        found["vrrp"] = {
            "virtual_ip": options["asgi_balancer_virtual_ip"],
            "router_id": options["asgi_balancer_router_id"],
            "address": options["asgi_balancer_address"],
            "peers": sorted(set(options["asgi_balancer_peers"])),
        }
    return found


def vrrp_clashes(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], register: str) -> list[str]:
    """Return why the balancers *hosts* cannot share their addresses; *register* is the variable with preflight's result."""
    answers = {host: hostvars[host].get(register) or {} for host in hosts}
    claimed = {
        host: answer["claims"]["vrrp"] for host, answer in answers.items() if answer.get("claims", {}).get("vrrp")
    }
    found = []
    for (one, first), (other, second) in combinations(claimed.items(), 2):
        virtual = _plain(first["virtual_ip"]) == _plain(second["virtual_ip"])
        together = first["peers"] == second["peers"]
        addresses = f"{first['virtual_ip']} and {second['virtual_ip']}"
        ids = f"{first['router_id']} and {second['router_id']}"
        if virtual and not together:
            fault = f"have the same asgi_balancer_virtual_ip, {first['virtual_ip']}, and different asgi_balancer_peers"
            found.append(line("virtual-ip-taken", f"{one} and {other} {fault}, so two balancers would hold it"))
        elif together and not virtual:
            fault = f"are peers, but asgi_balancer_virtual_ip is {addresses}"
            found.append(line("virtual-ip-differs", f"{one} and {other} {fault}"))
        if set(first["peers"]) & set(second["peers"]) and virtual == (first["router_id"] != second["router_id"]):
            fault = f"exchange VRRP packets, but asgi_balancer_router_id is {ids}"
            found.append(line("router-id-differs" if virtual else "router-id-duplicate", f"{one} and {other} {fault}"))
    return list(dict.fromkeys(found))


def interface_problems(interfaces: Mapping[str, list[str]], interface: str, address: str) -> list[str]:
    """Return why keepalived cannot use *interface* and *address* on a host with these *interfaces*."""
    known = ", ".join(
        f"{name} ({', '.join(used) or 'no address'})" for name, used in interfaces.items() if name != "lo"
    )
    if not interfaces:
        return []
    if interface not in interfaces or interface == "lo":
        fault = (
            "is not an interface of this host" if interface not in interfaces else "is not reachable from other hosts"
        )
        return [f"asgi_balancer_interface is {interface!r}, which {fault} -> use one of: {known}"]
    # without iproute2 the addresses are unknown
    if any(interfaces.values()) and not any(
        _plain(each) == _plain(address) for used in interfaces.values() for each in used
    ):
        return [
            (
                f"asgi_balancer_address is {address}, which is not an address of this host, but keepalived sends VRRP packets "
                f"from it -> use one of: {known}"
            )
        ]
    return []


def balancer_problems(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], register: str) -> list[str]:
    """Return the problems of the balancers *hosts*; *register* is the variable with the result of balancer_health."""
    answers = {
        host: hostvars[host][register]
        for host in hosts
        if (hostvars[host].get(register) or {}).get("faults") is not None
    }
    found = [
        f"{host} does not pass clients of {name} on to the app: {fault} -> run site.yml on the app's hosts, and look at the servers "
        f"with balancer_info"
        for host, answer in answers.items()
        for name, fault in answer["faults"].items()
    ]
    groups: dict[str, dict[str, Mapping]] = {}
    for host, answer in answers.items():
        if answer.get("vrrp"):
            groups.setdefault(_plain(answer["virtual_ip"]), {})[host] = answer
    for virtual, group in groups.items():
        found += _address_problems(virtual, group)
    return found


def _address_problems(virtual: str, answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    holders = [host for host, answer in answers.items() if answer["vrrp"]["holds"]]
    # a machine may have one inventory name per app
    machines = {answers[host]["address"] for host in holders}
    if len(machines) == 1:
        return []
    if len(machines) > 1:
        return [
            (
                f"{' and '.join(holders)} hold {virtual} at the same time, because they do not receive each other's VRRP "
                f"packets -> allow VRRP (IP protocol 112) "
                f"between {' and '.join(sorted(machines))}, and set the same asgi_balancer_vrrp_password on all"
            )
        ]
    compared = {answer["address"] for answer in answers.values()}
    complete = all(compared >= set(answer["peers"]) for answer in answers.values())
    answered = any(answer["vrrp"]["answers"] for answer in answers.values())
    if answered and not complete:
        # a balancer outside --limit holds the address
        return []
    if answered:
        return [
            f"{virtual} answers, but no balancer holds it: another machine uses it -> choose another asgi_balancer_virtual_ip"
        ]
    causes = "; ".join(f"{host}: {_cause(answer['vrrp'])}" for host, answer in answers.items())
    return [f"no balancer holds {virtual}, so no client reaches it -> {causes}"]


def _cause(seen: Mapping[str, Any]) -> str:
    log = f"; its log: {' / '.join(seen['log'])}" if seen["log"] else ""
    if not seen["running"]:
        return f"keepalived does not run: systemctl start keepalived{log}"
    if seen["script"]:
        return f"keepalived releases the address because HAProxy does not answer: {seen['script']}"
    return f"keepalived is in the state {seen['state'] or 'none'}{log}"


def _plain(address: str) -> str:
    try:
        return str(ip_interface(address).ip)
    except ValueError:
        return address
