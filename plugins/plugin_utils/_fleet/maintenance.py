# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling maintenance: the order of the hosts, the servers to drain for each host, and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import whole_message
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import machine_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.deploy import FAILED, UNREACHABLE, UNTOUCHED, failure

DONE = "done"
PLANNED = "would be done"
COLUMNS = ("host", "outcome", "drained in", "ended early", "on the balancers")

# backend -> server -> the server's entry in the result of balancer_info
Backends = Mapping[str, Mapping[str, Mapping[str, Any]]]
# balancer -> its backends
Observed = Mapping[str, Backends]
# keys: balancer, backend and server
Place = dict[str, str]
# HAProxy's values for a server without an address
NO_ADDRESS = ("", "-")


def backend_of(app: str) -> str:
    """Return the name of the HAProxy backend of *app*; raises ValueError if *app* is not a valid name."""
    return layout(app)["balancer"]["backend"]


def balancers_to_query(
    balancers: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str]
) -> dict[str, list[str] | None]:
    """Return the *balancers* to query about *hosts*, each with the backends that it must have.

    Balancers of other apps are included, because they may send traffic to the same machines. A balancer with several inventory names is
    included once, preferably under a name that belongs to an app of *hosts*. It must have the backend of each app that its inventory
    names belong to. The value is None for a balancer without ``asgi_name``, which must have the backends of all apps.

    Raises ValueError for an invalid ``asgi_name``.
    """
    apps = {hostvars[host].get("asgi_name") for host in hosts}
    names: dict[tuple[str, ...], str] = {}
    required: dict[str, list[str] | None] = {}
    for balancer in sorted(balancers, key=lambda each: hostvars[each].get("asgi_name") not in apps):
        name = names.setdefault(machine_of(balancer, hostvars[balancer]), balancer)
        backends = required.setdefault(name, [])
        app = hostvars[balancer].get("asgi_name")
        if app is None:
            required[name] = None
        elif backends is not None:
            backends.append(backend_of(app))
    return required


def maintenance_plan(
    hosts: Mapping[str, str], observed: Observed, required: Mapping[str, Sequence[str] | None]
) -> dict[str, Any]:
    """Return the plan for *hosts*, which maps each host to its backend.

    *required* maps each balancer to the backends that it must have; None means all of them.

    The plan contains:

    - ``order``: the hosts in the order of the work. Hosts that an earlier run left drained come first, because the other hosts must
      serve their requests until then.
    - ``servers``: the servers to drain for each host, on every balancer: the host's own server, and servers of other backends with the
      same address, because the work affects all apps of a machine
    - ``along``: hosts that share the machine of an earlier host, mapped to that host. They are not in ``order``.
    - ``balancers``: the balancers that must have a server for each host

    Raises ValueError if a balancer lacks a required server.
    """
    balancers = {
        host: [name for name, backends in required.items() if backends is None or backend in backends]
        for host, backend in hosts.items()
    }
    missing = list(_missing(hosts, balancers, observed))
    if missing:
        raise ValueError(f"{'; '.join(missing)}: set the balancers up for these hosts, or exclude them with --limit")
    servers: dict[str, list[Place]] = {}
    along: dict[str, str] = {}
    for host, backend in hosts.items():
        places = _servers(backend, host, observed)
        own = [each for each in places if (each["backend"], each["server"]) == (backend, host)]
        leader = next((name for name, others in servers.items() if any(each in others for each in own)), None)
        if leader:
            along[host] = leader
            # a balancer may list the machine only under the address of this host
            servers[leader] += [each for each in places if each not in servers[leader]]
        else:
            servers[host] = places
    left = [host for host, places in servers.items() if _taken(places, observed)]
    order = left + [host for host in servers if host not in left]
    return {
        "backends": dict(hosts),
        "order": order,
        "servers": servers,
        "along": along,
        "left": left,
        "balancers": balancers,
    }


def _missing(hosts: Mapping[str, str], balancers: Mapping[str, Sequence[str]], observed: Observed) -> Iterator[str]:
    for balancer, backends in observed.items():
        for backend in dict.fromkeys(hosts.values()):
            own = [
                host for host, host_backend in hosts.items() if host_backend == backend and balancer in balancers[host]
            ]
            missing = [host for host in own if host not in backends.get(backend, {})]
            if own and backend not in backends:
                yield f"{balancer} has no backend {backend}"
            elif missing:
                yield f"backend {backend} on {balancer} has no server {', '.join(missing)}"


def _servers(backend: str, host: str, observed: Observed) -> list[Place]:
    """Return the servers to drain for *host*: its own on each balancer, and those of other apps on its machine."""
    addresses = _addresses(backend, host, observed)
    places: list[Place] = []
    for balancer, backends in observed.items():
        own = [(backend, host)] if host in backends.get(backend, {}) else []
        others = [
            (name, at[0])
            for name, servers in backends.items()
            if (name, host) not in own
            for at in (_at(address, servers) for address in addresses)
            if len(at) == 1
        ]
        places += [{"balancer": balancer, "backend": name, "server": server} for name, server in own + others]
    return places


def _addresses(backend: str, host: str, observed: Observed) -> list[str]:
    """Return the addresses in the balancers' configuration that identify the machine of *host*.

    An address that several servers of one backend share does not identify a machine, because its ports lead to different machines.
    """
    own = [backends[backend] for backends in observed.values() if host in backends.get(backend, {})]
    addresses = dict.fromkeys(servers[host]["address"] for servers in own)
    return [
        address
        for address in addresses
        if address not in NO_ADDRESS and all(len(_at(address, servers)) <= 1 for servers in own)
    ]


def _at(address: str, servers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, server in servers.items() if server["address"] == address]


def _taken(places: Sequence[Place], observed: Observed) -> bool:
    """Return whether rolling_maintenance.yml has left one of these servers drained."""
    servers = (observed.get(each["balancer"], {}).get(each["backend"], {}).get(each["server"]) for each in places)
    return any(server and server["taken"] for server in servers)


def host_result(
    name: str,
    variables: Mapping[str, Any],
    unreachable: Sequence[str],
    failed: Sequence[str],
    check_mode: bool = False,
) -> dict[str, Any]:
    """Return the result of the maintenance of the host *name*, from the *variables* that rolling_maintenance.yml sets."""
    done = variables.get("__asgi_maintain_done", False)
    completed = (PLANNED if check_mode else DONE) if done else UNTOUCHED
    outcome = UNREACHABLE if name in unreachable else FAILED if name in failed else completed
    # check mode drains no server and ends no session
    drained = [] if check_mode else (variables.get("__asgi_maintain_drained") or {}).get("results") or []
    return {
        "outcome": outcome,
        "seconds": sum(each.get("seconds", 0) for each in drained) if drained else None,
        # sessions that the app or the balancer had to end
        "ended": sum(each.get("sessions", 0) + each.get("cut", 0) for each in drained) if drained else None,
        "reason": _reason(variables.get("ansible_failed_result") or {}) if outcome == FAILED else "",
    }


def _reason(failure: Mapping[str, Any]) -> str:
    """Return the error of *failure*. The error of a loop only counts its failed items, so return the errors of the items."""
    items = [
        whole_message(each) for each in failure.get("results") or [] if each.get("failed") or each.get("unreachable")
    ]
    return "\n".join(dict.fromkeys(items)) or whole_message(failure)


def maintenance_rows(
    plan: Mapping[str, Any], observed: Observed, results: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one row for each host of *plan* with its result and its current state on the balancers."""
    return [
        {
            **results[host],
            "host": host,
            **({"outcome": f"with {plan['along'][host]}"} if host in plan["along"] else {}),
            # None for a balancer that has not responded
            "servers": {name: observed.get(name, {}).get(backend, {}).get(host) for name in plan["balancers"][host]},
            "taken": _taken(plan["servers"].get(host, []), observed),
        }
        for host, backend in plan["backends"].items()
    ]


def maintenance_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the summary of a run, with the remedy for hosts that get no requests."""
    counts = Counter(row["outcome"] for row in rows)
    failed = counts[FAILED] + counts[UNREACHABLE]
    hosts = "1 host" if len(rows) == 1 else f"{len(rows)} hosts"
    first = f"{failed} of {hosts} failed" if failed else f"{hosts}, none failed"
    if counts[PLANNED]:
        first += "; in check mode nothing was changed"
    lines = [first, "", *aligned([COLUMNS, *(_cells(row) for row in rows)])]
    notes = [failure(row) for row in rows if row["reason"]]
    drained = [
        row["host"] for row in rows if row["taken"] or any(each and each["taken"] for each in row["servers"].values())
    ]
    if drained:
        notes.append(
            f"still drained by rolling_maintenance.yml: {', '.join(drained)} -> fix them and run it again; it starts with them"
        )
    others = [
        row["host"]
        for row in rows
        if any(each and each["admin"] != "ready" and not each["taken"] for each in row["servers"].values())
    ]
    if others:
        notes.append(f"drained or in maintenance before this run, and left unchanged: {', '.join(others)}")
    return "\n".join([*lines, "", *notes] if notes else lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["host"],
        row["outcome"],
        "-" if row["seconds"] is None else f"{row['seconds']:.1f} s",
        "-" if row["ended"] is None else str(row["ended"]),
        _status(row["servers"]),
    )


def _status(servers: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the status of a host's server on each balancer, or a single status if all are the same."""
    statuses = {name: server["status"] if server else "?" for name, server in servers.items()}
    if len(set(statuses.values())) == 1:
        return next(iter(statuses.values()))
    return ", ".join(f"{name}: {status}" for name, status in statuses.items()) or "-"
