# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the doctor's checks, and the verdicts that result from them.

To add a check, write a function in the module of its subject, add it to CHECKS, and add its codes to codes.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor import capacity, host, releases, site, timeouts, units
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import OK, Check, fail, ok

# The checks by name, in the order of the report.
CHECKS: dict[str, Check] = {
    "units": units.active,
    "boot": units.boot,
    "idle slot": units.idle,
    "traffic": site.traffic,
    "health": site.health,
    "workers": capacity.workers,
    "queue": capacity.queue,
    "connections": capacity.connections,
    "nginx -t": site.nginx,
    "certificate": site.certificate,
    "unit files": units.files,
    "permissions": host.permissions,
    "writes": host.writes,
    "sandbox": host.sandbox,
    "plan": capacity.plan,
    "memory": capacity.memory,
    "deprecated": units.deprecated,
    "timeouts": timeouts.timeouts,
    "drift": releases.drift,
    "release log": releases.log,
    "locks": releases.locks,
    "releases": releases.leftovers,
    "disk": releases.disk,
    "clock": host.clock,
    "timers": units.timers,
    "processes": units.processes,
    "metrics": units.metrics,
}


class Verdict(NamedTuple):
    """A finding with the name of its check."""

    check: str
    verdict: str
    code: str
    found: str
    remedy: str


def verdicts(seen: dict[str, Any], expected: dict[str, Any] | None = None) -> list[Verdict]:
    """Return the verdicts of all checks on the observations *seen*; *expected* contains the known values of the inventory.

    A check that finds problems has one verdict for each of them. Any other check has one verdict, which is ok.
    """
    # The state may name a live slot that contains no release.
    if not seen["live"] or not seen.get("running"):
        return [Verdict("deployed", *fail("app-not-deployed", f"{seen['name']} is not live on this host"))]
    found = []
    for name, check in CHECKS.items():
        findings = list(check(seen, expected or {})) or [ok()]
        problems = [finding for finding in findings if finding.verdict != OK]
        found += [Verdict(name, *finding) for finding in problems or findings]
    return found
