# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the order of timeouts between nginx, the application server and systemd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import Finding, fail, live_slot, unit, warn

# nginx's timeout limits the pause between two parts of a response, but the drain limits the whole response. Therefore nginx's timeout may
# be longer, up to this factor.
READ_TIMEOUT_RATIO = 2


def timeouts(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    gunicorn, site, service = (
        seen["running"]["gunicorn"],
        seen["running"]["site"],
        unit(seen, live_slot(seen)["service_unit"]),
    )
    keepalive, site_keepalive = gunicorn.get("keepalive"), site["keepalive_timeout"]
    if _inverted(keepalive, site_keepalive):
        found = (
            f"the app closes idle connections after {keepalive} s, nginx after {site_keepalive} s: nginx may send a POST over "
            f"a connection that the app is closing"
        )
        yield fail("idle-timeouts-inverted", found)
    graceful, stop = gunicorn.get("graceful_timeout"), service.get("stop_seconds")
    if _inverted(stop, graceful):
        found = f"systemd kills the service {stop:g} s after it begins to stop, but the drain may take {graceful} s"
        yield fail("stop-timeout-short", found)
    read = site["read_timeout"]
    if graceful is not None and read is not None and read > READ_TIMEOUT_RATIO * graceful:
        yield warn(
            "drain-timeout-short", f"nginx waits {read} s for a response, but a deploy ends requests after {graceful} s"
        )
    timeout, watchdog = gunicorn.get("timeout"), service.get("watchdog_seconds")
    if _inverted(watchdog, timeout):
        found = (
            f"systemd restarts the service if no worker has served for {watchdog:g} s, but gunicorn replaces a worker that "
            f"hangs after {timeout} s"
        )
        yield warn("watchdog-inverted", found)
    # A worker with threads may be busy for as long as nginx waits: see servers.hang_timeout_margin.
    if "threads" not in gunicorn and _inverted(read, timeout):
        found = (
            f"nginx answers 504 after {read} s, but a worker that hangs is replaced after {timeout} s, so no other worker can "
            f"repeat its requests"
        )
        yield warn("read-timeout-short", found)
    if gunicorn.get("max_requests") and not gunicorn.get("max_requests_jitter"):
        found = f"all workers restart at the same time, after {gunicorn['max_requests']} requests"
        yield warn("restarts-simultaneous", found)


def _inverted(longer: float | None, shorter: float | None) -> bool:
    """Return whether both timeouts are known, and *longer* does not exceed *shorter* as it must."""
    return longer is not None and shorter is not None and longer <= shorter
