# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on hosts that are drained meanwhile: what is drained for which of them, in which order, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import FAILED, UNREACHABLE, UNTOUCHED, first_lines
from ansible_collections.asgi.deploy.plugins.plugin_utils.text_table import aligned

DONE = "done"
PLANNED = "would be done"
COLUMNS = ("host", "outcome", "drained in", "ended early", "on the balancers")

# backend -> server -> what balancer_info says of it; and that of each balancer
Backends = Mapping[str, Mapping[str, Mapping[str, Any]]]
Balancers = Mapping[str, Backends]
# balancer, backend and server
Place = dict[str, str]
# what HAProxy says where it has none
NO_ADDRESS = ("", "-")


def maintain_plan(
    hosts: Mapping[str, str], balancers: Balancers, known: Mapping[str, Sequence[str] | None]
) -> dict[str, Any]:
    """Return how the *hosts*, given with their backends, are gone through.

    *known* says which backends each of *balancers* has to know, None of one that has to know all.

    ``order`` begins with those that an earlier run has left drained: as long as they are, the others are needed.
    ``servers`` are what is to be drained for a host, on each balancer what is there: its own server, and those at the same
    address in other backends, as what is done to a machine befalls all of its apps. A host whose server is drained with
    another one's is not in ``order``; ``along`` says with which it goes. ``balancers`` are those that have to know a host.

    Raises ValueError if one of these does not.
    """
    knowing = {
        host: [name for name, backends in known.items() if backends is None or backend in backends]
        for host, backend in hosts.items()
    }
    unknown = list(_unknown(hosts, knowing, balancers))
    if unknown:
        raise ValueError(f"{'; '.join(unknown)}: set the balancers up for these hosts, or leave them out with --limit")
    servers: dict[str, list[Place]] = {}
    along: dict[str, str] = {}
    for host, backend in hosts.items():
        its = _servers(backend, host, balancers)
        own = [each for each in its if (each["backend"], each["server"]) == (backend, host)]
        leader = next((name for name, others in servers.items() if any(each in others for each in own)), None)
        if leader:
            along[host] = leader
            # a balancer may know the machine by this host's address only
            servers[leader] += [each for each in its if each not in servers[leader]]
        else:
            servers[host] = its
    left = [host for host, its in servers.items() if _taken(its, balancers)]
    order = left + [host for host in servers if host not in left]
    return {"order": order, "servers": servers, "along": along, "left": left, "balancers": knowing}


def _unknown(hosts: Mapping[str, str], knowing: Mapping[str, Sequence[str]], balancers: Balancers) -> Iterator[str]:
    for balancer, backends in balancers.items():
        for backend in dict.fromkeys(hosts.values()):
            own = [host for host, its in hosts.items() if its == backend and balancer in knowing[host]]
            missing = [host for host in own if host not in backends.get(backend, {})]
            if own and backend not in backends:
                yield f"{balancer} has no backend {backend}"
            elif missing:
                yield f"backend {backend} on {balancer} has no server {', '.join(missing)}"


def _servers(backend: str, host: str, balancers: Balancers) -> list[Place]:
    """Return where *host* is to be drained: its own server on each balancer, and those of other apps on its machine."""
    addresses = _addresses(backend, host, balancers)
    found: list[Place] = []
    for balancer, backends in balancers.items():
        own = [(backend, host)] if host in backends.get(backend, {}) else []
        others = [
            (name, at[0])
            for name, servers in backends.items()
            if (name, host) not in own
            for at in (_at(address, servers) for address in addresses)
            if len(at) == 1
        ]
        found += [{"balancer": balancer, "backend": name, "server": server} for name, server in own + others]
    return found


def _addresses(backend: str, host: str, balancers: Balancers) -> list[str]:
    """Return the addresses of the machine of *host*, as the balancers that know it have them.

    An address that several servers of one backend have is none of a machine: ports lead from there to several.
    """
    own = [backends[backend] for backends in balancers.values() if host in backends.get(backend, {})]
    said = dict.fromkeys(servers[host]["address"] for servers in own)
    return [
        address
        for address in said
        if address not in NO_ADDRESS and all(len(_at(address, servers)) <= 1 for servers in own)
    ]


def _at(address: str, servers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, its in servers.items() if its["address"] == address]


def _taken(places: Sequence[Place], balancers: Balancers) -> bool:
    """Return whether an earlier run, or this one, has left one of these servers drained."""
    found = (balancers.get(each["balancer"], {}).get(each["backend"], {}).get(each["server"]) for each in places)
    return any(server and server["taken"] for server in found)


def host_facts(
    name: str, variables: Mapping[str, Any], lost: Sequence[str], failed: Sequence[str], check_mode: bool = False
) -> dict[str, Any]:
    """Return what is known of the host *name* from the *variables* that maintain.yml leaves, in *check_mode* if so said."""
    done = variables.get("__asgi_maintain_done", False)
    through = (PLANNED if check_mode else DONE) if done else UNTOUCHED
    outcome = UNREACHABLE if name in lost else FAILED if name in failed else through
    # check mode drains nothing, and ends no session
    drained = [] if check_mode else (variables.get("__asgi_maintain_drained") or {}).get("results") or []
    return {
        "outcome": outcome,
        "seconds": sum(each.get("seconds", 0) for each in drained) if drained else None,
        # what did not end by itself, whether the app ended it then or the balancer
        "ended": sum(each.get("sessions", 0) + each.get("cut", 0) for each in drained) if drained else None,
        "reason": _reason(variables.get("ansible_failed_result") or {}) if outcome == FAILED else "",
    }


def _reason(failure: Mapping[str, Any]) -> str:
    """Return what went wrong; of a loop, what the items say, as it says itself no more than that some have failed."""
    items = [
        str(each.get("msg", ""))
        for each in failure.get("results") or []
        if each.get("failed") or each.get("unreachable")
    ]
    return "\n".join(dict.fromkeys(items)) or str(failure.get("msg", ""))


def maintain_rows(
    hosts: Mapping[str, str], plan: Mapping[str, Any], balancers: Balancers, facts: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one row for each host: what became of it by its *facts*, and how the balancers find it now."""
    return [
        {
            **facts[host],
            "host": host,
            **({"outcome": f"with {plan['along'][host]}"} if host in plan["along"] else {}),
            # of those that have to know it; one that has not answered now says nothing
            "found": {name: balancers.get(name, {}).get(backend, {}).get(host) for name in plan["balancers"][host]},
            "taken": _taken(plan["servers"].get(host, []), balancers),
        }
        for host, backend in hosts.items()
    ]


def maintain_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return for people what a run has come to, host by host, and what to do about hosts that get no requests."""
    counts = Counter(row["outcome"] for row in rows)
    failed = counts[FAILED] + counts[UNREACHABLE]
    hosts = "1 host" if len(rows) == 1 else f"{len(rows)} hosts"
    first = f"{failed} of {hosts} failed" if failed else f"{hosts}, none failed"
    if counts[PLANNED]:
        first += "; in check mode nothing was changed"
    lines = [first, "", *aligned([COLUMNS, *(_cells(row) for row in rows)])]
    reasons = [f"{row['host']}: {first_lines(row['reason'])}" for row in rows if row["reason"]]
    ours = [
        row["host"] for row in rows if row["taken"] or any(found and found["taken"] for found in row["found"].values())
    ]
    if ours:
        reasons.append(
            f"drained by maintain.yml and not back: {', '.join(ours)}. Put them right and run it again: it begins with them"
        )
    theirs = [
        row["host"]
        for row in rows
        if any(found and found["admin"] != "ready" and not found["taken"] for found in row["found"].values())
    ]
    if theirs:
        reasons.append(f"taken out by somebody else, and left so: {', '.join(theirs)}")
    return "\n".join([*lines, "", *reasons] if reasons else lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["host"],
        row["outcome"],
        "-" if row["seconds"] is None else f"{row['seconds']:.1f} s",
        "-" if row["ended"] is None else str(row["ended"]),
        _on_balancers(row["found"]),
    )


def _on_balancers(found: Mapping[str, Mapping[str, Any] | None]) -> str:
    words = {name: its["status"] if its else "?" for name, its in found.items()}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{name}: {status}" for name, status in words.items()) or "-"
