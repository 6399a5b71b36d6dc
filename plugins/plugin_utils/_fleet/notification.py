# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notification about a change of an app on its hosts, from the results that the tasks of a playbook registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.deploy_marker import FAILED, SUCCEEDED

RESTORED, UNREACHABLE, UNCHANGED = "restored", "unreachable", "unchanged"

# The results that contain the deploy markers of each change, in the order in which their tasks run.
MARKERS = {
    "deploy": ("__asgi_server_booted", "__asgi_server_live", "__asgi_server_abandoned", "__asgi_fleet_restored"),
    "reload": ("__asgi_fleet_changed",),
    "rollback": ("__asgi_fleet_changed",),
}
# The results of the tasks before the activation.
STAGING = ("asgi_app_release", "__asgi_app_migrated", "__asgi_app_hook_failed")
UNKNOWN = "the run stopped; its output contains the reason"


class Host(NamedTuple):
    """A host of the play: its deploy markers, the results of the staging, and the result of the last check of its site.

    ``failed`` is the result of the failed task if the playbook has recorded the host as failed.
    """

    markers: Sequence[Mapping[str, Any]]
    staging: Sequence[Mapping[str, Any]] = ()
    failed: Mapping[str, Any] | None = None
    unreachable: bool = False
    site: Mapping[str, Any] = {}


def host_of(
    variables: Mapping[str, Any], change: str, app: str, failed: bool, unreachable: bool, site_register: str | None
) -> Host:
    """Return the host with these *variables*. A play may have changed another app of the host before *app*."""
    results = [variables.get(name) or {} for name in MARKERS[change]]
    markers = [result["marker"] for result in results if result.get("marker")]
    return Host(
        markers=[marker for marker in markers if marker["app"] == app],
        staging=[variables.get(name) or {} for name in (STAGING if change == "deploy" else ())],
        failed=(variables.get("ansible_failed_result") or {}) if failed else None,
        unreachable=unreachable,
        site=(variables.get(site_register) or {}).get("site") or {},
    )


def notification(what: str, app: str, hosts: Mapping[str, Host], stopped: bool = False) -> dict[str, Any] | None:
    """Return the notification about the change *what* of *app*; None if the run has neither changed a host nor failed.

    A run that has *stopped* has failed, even if it has not changed any of the *hosts*.
    """
    entries = [_entry(name, host) for name, host in hosts.items()]
    results = Counter(entry["result"] for entry in entries)
    failed = stopped or any(result not in (SUCCEEDED, UNCHANGED) for result in results)
    if not failed and not results[SUCCEEDED]:
        return None
    markers = [marker for host in hosts.values() for marker in host.markers]
    reasons = [entry["reason"] for entry in entries if entry["reason"]]
    found = {
        "what": what,
        "app": app,
        "result": FAILED if failed else SUCCEEDED,
        "by": next((marker["by"] for marker in markers if marker["by"]), None),
        "from": _common(entry["from"] for entry in entries),
        "to": _common(entry["to"] for entry in entries),
        "duration_seconds": _span(markers),
        "reason": next(iter(reasons), UNKNOWN) if failed else None,
    }
    return {"text": _sentence(found, results), **found, "hosts": entries}


def _entry(name: str, host: Host) -> dict[str, Any]:
    """Return the change of the host *name*."""
    markers, reason = host.markers, _failure(host)
    release = host.staging[0] if host.staging else {}
    return {
        "host": name,
        "from": markers[0]["from"] if markers else (release.get("serving") or {}).get("release"),
        "to": markers[0]["to"] if markers else release.get("release"),
        "result": FAILED if reason else _result(host),
        "duration_seconds": _span(markers),
        "reason": reason or None,
    }


def _result(host: Host) -> str:
    """Return the result of a host without a failure."""
    if host.unreachable or any(result.get("unreachable") for result in host.staging):
        return UNREACHABLE
    if not host.markers:
        return UNCHANGED
    return RESTORED if host.markers[-1]["what"] == "restore" else SUCCEEDED


def _failure(host: Host) -> str:
    """Return the reason why the change of *host* failed; an empty string if it did not."""
    for marker in host.markers:
        if marker["result"] == FAILED or marker["what"] == "abandon":
            return marker["reason"] or UNKNOWN
    for result in (*host.staging, {} if host.failed is None else {**host.failed, "failed": True}):
        if result.get("failed"):
            return next(iter(str(result.get("msg", "")).strip().splitlines()), UNKNOWN)
    if host.site.get("verdict") == "failed":
        return "; ".join(["the site does not answer from its live slot", *host.site.get("causes", [])])
    return ""


def _common(values: Iterable[str | None]) -> str | None:
    """Return the common value of the hosts, ignoring those without a value; None if the values differ."""
    found = {value for value in values if value}
    return found.pop() if len(found) == 1 else None


def _span(markers: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the seconds from the start of the first change to the end of the last one."""
    if not markers:
        return None
    starts = [datetime.fromisoformat(marker["at"]) for marker in markers]
    lengths = [timedelta(seconds=marker["duration_seconds"]) for marker in markers]
    end = max(start + length for start, length in zip(starts, lengths, strict=True))
    return round((end - min(starts)).total_seconds(), 1)


def _sentence(found: Mapping[str, Any], results: Mapping[str, int]) -> str:
    releases = " -> ".join(dict.fromkeys(filter(None, (found["from"], found["to"]))))
    counts = ", ".join(f"{count} {result}" for result, count in results.items())
    parts = [f"{found['what']} of {found['app']} {found['result']}", releases, f"hosts: {counts}", found["reason"]]
    return "; ".join(filter(None, parts))
