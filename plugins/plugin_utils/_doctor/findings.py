# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of the doctor's checks, and the levels of their verdicts.

A check takes the observations of the module doctor and the expectations from the inventory. It yields a finding for each problem; a
check without problems may yield one finding that describes what it examined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout, other_slot
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.codes import CODES

# FAIL: requests are lost, now or with the next reboot, deploy or renewal. WARN: an administrator should investigate.
OK, WARN, FAIL = "ok", "warn", "fail"
LEVELS = (OK, WARN, FAIL)


class Finding(NamedTuple):
    """A verdict with its code, the observation and the remedy."""

    verdict: str
    code: str
    found: str
    remedy: str


Check = Callable[[dict[str, Any], dict[str, Any]], Iterator[Finding]]


def fail(code: str, found: str, remedy: str = "") -> Finding:
    """Return a failure, by default with the remedy of its code."""
    return Finding(FAIL, code, found, remedy or CODES[code].remedy)


def warn(code: str, found: str, remedy: str = "") -> Finding:
    """Return a warning, by default with the remedy of its code."""
    return Finding(WARN, code, found, remedy or CODES[code].remedy)


def ok(found: str = "") -> Finding:
    return Finding(OK, "", found, "")


def live_slot(seen: dict[str, Any]) -> dict[str, str]:
    """Return the layout of the live slot."""
    return layout(seen["name"])["slots"][seen["live"]]


def idle_slot(seen: dict[str, Any]) -> dict[str, str]:
    """Return the layout of the other slot."""
    return layout(seen["name"])["slots"][other_slot(seen["live"])]


def unit(seen: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the observed state of the unit *name*, empty if it was not observed."""
    return seen["units"].get(name) or {}


def owner_and_mode(found: dict[str, Any]) -> str:
    return f"{found['owner']}:{found['group']} {found['mode']}"
