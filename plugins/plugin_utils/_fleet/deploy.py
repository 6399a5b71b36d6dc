# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Summarise a failed deploy, and compare the rollback targets of the hosts of a play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import without_copy_number
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import summary
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import whole_message
from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned, minute

UNREACHABLE = "unreachable"
FAILED = "failed"
ROLLED_BACK = "rolled back"
DEPLOYED = "deployed"
UP_TO_DATE = "up to date"
UNTOUCHED = "not touched"

COLUMNS = ("host", "outcome", "serves", "slot", "state", "since")


def outcome(host: Mapping[str, Any]) -> str:
    """Return the outcome of a deploy; *host* is a result of :func:`host_result`."""
    pairs = host["pairs"]
    if host["unreachable"]:
        return UNREACHABLE
    if host["failed"]:
        return FAILED
    if pairs["after"] != pairs["before"]:
        return ROLLED_BACK if pairs["now"] == pairs["before"] else DEPLOYED
    return UP_TO_DATE if pairs["now"] is not None and pairs["now"] == pairs["target"] else UNTOUCHED


def host_result(
    name: str, variables: Mapping[str, Any], unreachable: Sequence[str], failed: Sequence[str]
) -> dict[str, Any]:
    """Return the result of a deploy on the host *name* from the *variables* that deploy.yml registers.

    Each of the ``pairs`` is a release and its configuration: those that were live ``before`` the deploy and ``after`` the batches, those
    that are live ``now``, and the ``target`` of the activation. An unknown pair is None.
    """
    staged = variables.get("asgi_app_release") or {}
    results = [variables.get(each) or {} for each in ("__asgi_deploy_after_batches", "__asgi_deploy_after_restore")]
    after, restored = (_app(result) for result in results)
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
        # a host whose query failed counts as unreachable
        "unreachable": name in unreachable or now is None,
        "failed": name in failed,
        "app": now or {},
        "reason": whole_message(failure) if name in failed else "",
    }


def _app(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    apps = result.get("apps") or []
    return apps[0] if apps else None


def _pair(app: Any) -> tuple[str, str] | None:
    return (app["release"], app["config"]) if app and app.get("release") and app.get("config") else None


def deploy_rows(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each host of *results* with the outcome and the live release."""
    return [
        {
            "host": each["host"],
            "outcome": outcome(each),
            "release": None if each["unreachable"] else each["app"].get("release"),
            "before": each["pairs"]["before"][0] if each["pairs"]["before"] else None,
            "slot": each["app"].get("slot"),
            "state": each["app"].get("state"),
            "since": each["app"].get("since"),
            "reason": each["reason"],
        }
        for each in results
    ]


def deploy_summary(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str], stopped: bool, max_failures: int) -> str:
    """Return the summary of a deploy with failures.

    *wanted* are the ids of the staged releases; *stopped* is true if more than *max_failures* hosts failed.
    """
    counts = Counter(row["outcome"] for row in rows)
    failed = counts[FAILED] + counts[UNREACHABLE]
    releases = " and ".join(dict.fromkeys(wanted)) or "the release"
    consequence = (
        f"more than asgi_deploy_max_failures ({max_failures}), so the deploy has stopped"
        if stopped
        else "the deploy has continued on the others"
    )
    lines = [f"{releases} is not on every host: {failed} of {len(rows)} failed; {consequence}", ""]
    lines += aligned([COLUMNS, *(_cells(row) for row in rows)])
    reasons = [failure(row) for row in rows if row["reason"]]
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


def failure(row: Mapping[str, Any]) -> str:
    """Return the host of *row* with the first lines and the causes of its error; Ansible has already printed the complete error."""
    return f"{row['host']}: " + "\n  ".join(summary(row["reason"]))


class Rollback(NamedTuple):
    """The live release and the rollback target of a host, each with the digest of its configuration."""

    app: str
    live: tuple[str, str]
    target: tuple[str, str]


def planned_rollbacks(apps: Mapping[str, str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Rollback]:
    """Return the planned rollback of each host that has a target, from the results of rollback.yml in check mode.

    *apps* maps each host to its app.
    """
    plans = {host: hostvars[host].get("__asgi_rollback_plan") or {} for host in apps}
    return {
        host: Rollback(
            apps[host],
            (plan["previous"], plan["previous_config"]),
            (plan["release"], plan["config"]),
        )
        for host, plan in plans.items()
        if "release" in plan
    }


def rollback_conflicts(rollbacks: Mapping[str, Rollback]) -> dict[str, str]:
    """Return a description of the rollback targets for each app whose hosts disagree on the target; *rollbacks* are by host.

    Hosts disagree if their target releases differ. The configurations of one release may differ, because hosts have different sizes. They
    are a disagreement only if one host would activate or keep the configuration that another host leaves.
    """
    conflicts = {app: _conflict(app, rollbacks) for app in dict.fromkeys(each.app for each in rollbacks.values())}
    return {app: conflict for app, conflict in conflicts.items() if conflict}


def _conflict(app: str, rollbacks: Mapping[str, Rollback]) -> str:
    of_app = {host: rollback for host, rollback in rollbacks.items() if rollback.app == app}
    targets = {host: without_copy_number(rollback.target[0]) for host, rollback in of_app.items()}
    if len(set(targets.values())) == 1:
        left = {rollback.live for rollback in of_app.values() if rollback.live != rollback.target}
        if left.isdisjoint(rollback.target for rollback in of_app.values()):
            return ""
        targets = {host: f"{release} with {of_app[host].target[1]}" for host, release in targets.items()}
    hosts_by_target: dict[str, list[str]] = {}
    for host, target in targets.items():
        hosts_by_target.setdefault(target, []).append(host)
    return ", ".join(f"{' and '.join(hosts)} to {target}" for target, hosts in hosts_by_target.items())
