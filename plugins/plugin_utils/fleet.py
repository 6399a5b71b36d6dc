# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing many hosts in batches: who is in which, and what is told of them when that did not go well."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.release import without_copy_number
from ansible_collections.asgi.deploy.plugins.plugin_utils.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import shown
from ansible_collections.asgi.deploy.plugins.plugin_utils.text_table import aligned, minute

SHARE = re.compile(r"(\d{1,3})%")

UNREACHABLE = "unreachable"
FAILED = "failed"
ROLLED_BACK = "rolled back"
DEPLOYED = "deployed"
AS_BEFORE = "had it already"
UNTOUCHED = "not touched"

COLUMNS = ("host", "outcome", "serves", "slot", "state", "since")


def batch_size(size: Any, hosts: int) -> int:
    """Return how many of *hosts* hosts *size* is: a number, or a share such as ``25%``; at least one.

    Raises ValueError for anything else.
    """
    number = whole(size.strip() if isinstance(size, str) else size)
    if number:
        return number
    share = SHARE.fullmatch(size.strip()) if isinstance(size, str) else None
    if share and 1 <= int(share[1]) <= 100:
        return max(1, hosts * int(share[1]) // 100)
    raise ValueError(
        f"{shown(size)} is no size of a batch: give a number of hosts of at least 1, or a share such as '25%'"
    )


def batch_sizes(sizes: Any, hosts: int) -> list[int]:
    """Return what *sizes* are of *hosts* hosts: one size, a list of them, or a text such as ``1,25%``; raises ValueError."""
    listed = sizes.split(",") if isinstance(sizes, str) else sizes
    listed = list(listed) if isinstance(listed, (list, tuple)) else [listed]
    if not listed:
        raise ValueError("the list of batches is empty: give at least one size, such as '100%'")
    return [batch_size(size, hosts) for size in listed]


def batches(hosts: Sequence[str], sizes: Any) -> list[list[str]]:
    """Return *hosts* in batches of *sizes*, the last of which counts for all that are left. Raises ValueError."""
    wanted = batch_sizes(sizes, len(hosts))
    found: list[list[str]] = []
    left = list(hosts)
    while left:
        size = wanted[min(len(found), len(wanted) - 1)]
        found.append(left[:size])
        left = left[size:]
    return found


def outcome(found: Mapping[str, Any]) -> str:
    """Return what became of a host.

    *found* are the ``pairs`` of release and configuration that served ``before``, ``after`` the batches and ``now``, and the
    ``target`` that was activated; what is not known is None. It says whether the host ``failed``, and whether it was ``lost``,
    so that nobody knows what is on it.
    """
    pairs = found["pairs"]
    if found["lost"]:
        return UNREACHABLE
    if found["failed"]:
        return FAILED
    if pairs["after"] != pairs["before"]:
        return ROLLED_BACK if pairs["now"] == pairs["before"] else DEPLOYED
    return AS_BEFORE if pairs["now"] is not None and pairs["now"] == pairs["target"] else UNTOUCHED


def host_facts(name: str, variables: Mapping[str, Any], lost: Sequence[str], failed: Sequence[str]) -> dict[str, Any]:
    """Return what is known of the host *name* from the *variables* that deploy.yml leaves."""
    staged = variables.get("asgi_app_release") or {}
    answers = [variables.get(each) or {} for each in ("__asgi_deploy_after", "__asgi_deploy_restored")]
    after, restored = (_app(answer) for answer in answers)
    now = restored or after
    failure = variables.get("ansible_failed_result") or {}
    return {
        "host": name,
        "wanted": staged.get("release"),
        "pairs": {
            "before": _pair(staged.get("serving")),
            "target": _pair(variables.get("__asgi_server_live")),
            "after": _pair(after),
            "now": _pair(now),
        },
        # one that could not be asked is as good as unreachable
        "lost": name in lost or now is None,
        "failed": name in failed,
        "app": now or {},
        "reason": str(failure.get("msg", "")) if name in failed else "",
    }


def _app(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    apps = answer.get("apps") or []
    return apps[0] if apps else None


def _pair(found: Any) -> tuple[str, str] | None:
    return (found["release"], found["config"]) if found and found.get("release") and found.get("config") else None


def deploy_rows(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each host: what became of it, what serves there, since when."""
    return [
        {
            "host": each["host"],
            "outcome": outcome(each),
            "release": None if each["lost"] else each["app"].get("release"),
            "before": each["pairs"]["before"][0] if each["pairs"]["before"] else None,
            "slot": each["app"].get("slot"),
            "state": each["app"].get("state"),
            "since": each["app"].get("since"),
            "reason": each["reason"],
        }
        for each in facts
    ]


def deploy_summary(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str], stopped: bool, most: int) -> str:
    """Return for people what a deploy that did not go well has left, host by host.

    *wanted* are the ids of the release on the hosts, *stopped* says whether more than *most* hosts have failed.
    """
    counts = Counter(row["outcome"] for row in rows)
    failed = counts[FAILED] + counts[UNREACHABLE]
    first = (
        f"{' and '.join(dict.fromkeys(wanted)) or 'the release'} is not on every host: {failed} of {len(rows)} failed"
    )
    then = (
        f"more than asgi_deploy_max_failures ({most}), so the deploy has stopped" if stopped else "the others went on"
    )
    lines = [f"{first}; {then}", ""]
    lines += aligned([COLUMNS, *(_cells(row) for row in rows)])
    reasons = [f"{row['host']}: {first_lines(row['reason'])}" for row in rows if row["reason"]]
    return "\n".join([*lines, "", *reasons] if reasons else lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["outcome"] == UNREACHABLE:
        serves = f"? ({row['before']} before)" if row["before"] else "?"
        return row["host"], row["outcome"], serves, "-", "-", "-"
    return (
        row["host"],
        row["outcome"],
        row["release"] or "nothing",
        row["slot"] or "-",
        row["state"] or "-",
        minute(row["since"]),
    )


class Way(NamedTuple):
    """Where a host of an app is and where it would go back to, each a release and the digest of a configuration."""

    app: str
    leaves: tuple[str, str]
    to: tuple[str, str]


def rollback_split(ways: Mapping[str, Way]) -> str:
    """Return, for each app whose hosts would not go back to the same, who would go back to what; *ways* are by host.

    Hosts of different sizes have different configurations by right. Within one release they are taken to disagree where one
    would go to, or stay at, what another one leaves.
    """
    return "; ".join(filter(None, (_split_of(app, ways) for app in dict.fromkeys(way.app for way in ways.values()))))


def _split_of(app: str, ways: Mapping[str, Way]) -> str:
    its = {host: way for host, way in ways.items() if way.app == app}
    places = {host: without_copy_number(way.to[0]) for host, way in its.items()}
    if len(set(places.values())) == 1:
        left = {way.leaves for way in its.values() if way.leaves != way.to}
        if left.isdisjoint(way.to for way in its.values()):
            return ""
        places = {host: f"{release} with {its[host].to[1]}" for host, release in places.items()}
    together: dict[str, list[str]] = {}
    for host, place in places.items():
        together.setdefault(place, []).append(host)
    return f"{app}: " + ", ".join(f"{' and '.join(hosts)} to {place}" for place, hosts in together.items())


def first_lines(text: str, count: int = 3) -> str:
    """Return the beginning of an error, which is whole in the output above."""
    return "\n  ".join([line.strip() for line in text.splitlines() if line.strip()][:count])
