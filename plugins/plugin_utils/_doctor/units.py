# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of systemd units: the units of the slots and nginx, unit files, timers and the metrics socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import TRIAL, layout
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import (
    Finding,
    fail,
    idle_slot,
    live_slot,
    unit,
    warn,
)

DEPRECATED_SETTINGS = {
    "BlockIOAccounting": "IOAccounting",
    "BlockIODeviceWeight": "IODeviceWeight",
    "BlockIOReadBandwidth": "IOReadBandwidthMax",
    "BlockIOWeight": "IOWeight",
    "BlockIOWriteBandwidth": "IOWriteBandwidthMax",
    "CPUShares": "CPUWeight",
    "MemoryLimit": "MemoryMax",
    "StartupBlockIOWeight": "StartupIOWeight",
    "StartupCPUShares": "StartupCPUWeight",
}


def _serving(seen: dict[str, Any]) -> tuple[str, ...]:
    return live_slot(seen)["socket_unit"], live_slot(seen)["service_unit"], "nginx.service"


def active(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for name in _serving(seen):
        state = unit(seen, name).get("active", "unknown")
        if state not in ("active", "reloading"):
            yield fail("unit-inactive", f"{name} is {state}", f"see journalctl --unit={name}; site.yml starts it")


def boot(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for name in _serving(seen):
        if not unit(seen, name).get("enabled"):
            yield fail("unit-not-enabled", f"{name} does not start at boot", f"systemctl enable {name}")
    if f" {seen['live']}.sock\n" not in (seen["tmpfiles"] or ""):
        tmpfiles = layout(seen["name"])["tmpfiles"]
        yield fail("boot-slot-wrong", f"{tmpfiles} does not link slot {seen['live']} after a reboot")


def idle(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for name in (idle_slot(seen)["socket_unit"], idle_slot(seen)["service_unit"]):
        state = unit(seen, name)
        if state.get("active") not in ("inactive", "failed", None):
            found = f"{name}, which has no traffic, is {state['active']}"
            yield warn("idle-slot-running", found, f"run site.yml, or stop {name}")
        if state.get("enabled"):
            found = f"{name}, which has no traffic, starts at boot"
            yield warn("idle-slot-enabled", found, f"systemctl disable {name}")
    paths = layout(seen["name"])
    # tune.yml holds the app's lock while it runs, so a trial without the lock is a leftover.
    if seen["trial"] and not any(lock["held_by"] for lock in seen["locks"] if lock["path"] == paths["lock"]):
        trial = paths[TRIAL]
        found = f"{trial['directory']} is left from a killed tune.yml, and {trial['service_unit']} may still be running"
        yield warn("trial-leftover", found)


def files(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    slot, running = live_slot(seen), seen["running"]
    for path, as_configured in (
        (layout(seen["name"])["service_template"], running["unit_as_configured"]),
        (slot["drop_in"], running["drop_in_as_configured"]),
    ):
        if not as_configured:
            yield fail("unit-file-changed", f"{path} differs from the activated one")
    for name in (slot["socket_unit"], slot["service_unit"]):
        if unit(seen, name).get("needs_daemon_reload"):
            yield warn("unit-reload-needed", f"systemd has not read the changed files of {name}")
    if running["misread"]:
        yield warn("unit-file-misread", f"systemd ignores lines of {slot['drop_in']}: {running['misread']}")


def deprecated(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """Yield deprecated settings of the service, and deprecated directives of nginx."""
    for setting in seen["running"]["settings"]:
        if setting in DEPRECATED_SETTINGS:
            found = f"{setting} is deprecated, and ignored with version 2 of control groups"
            remedy = f"use {DEPRECATED_SETTINGS[setting]} in asgi_server_unit_settings"
            yield warn("unit-setting-deprecated", found, remedy)
    for warning in seen["nginx"].get("warnings") or []:
        if "deprecated" in warning:
            yield warn("nginx-directive-deprecated", f"nginx -t warns: {warning}")


def timers(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for name in seen["timers"]:
        state = unit(seen, name)
        if name == "logrotate.timer" and not state.get("there"):
            yield warn("logrotate-missing", "logrotate is not installed, so nginx's logs grow until the disk is full")
        elif state.get("active") != "active":
            found = f"{name} is {state.get('active') or 'unknown'}"
            yield fail("timer-inactive", found, f"systemctl enable --now {name}")
        elif not state["enabled"]:
            yield warn("timer-not-enabled", f"{name} does not start at boot", f"systemctl enable {name}")


def processes(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """Yield the problems of the app's processes and timers."""
    found = seen["processes"]
    for each in found["live"]:
        name = each["unit"]
        journal = f"see journalctl --unit={name}"
        if each["loops"]:
            times = f"systemd has restarted {name} {each['restarts']} times, and it does not stay up"
            yield fail("process-restarting", times, journal)
        elif each["state"] != "active":
            yield fail("process-down", f"{name} is {each['state']}", f"{journal}; site.yml starts it")
        elif each["kind"] == "timer" and each["result"] not in ("success", ""):
            since = f"; it last succeeded at {each['last_success']}" if each.get("last_success") else ""
            fault = f"the last run of the timer {each['name']} failed ({each['result']}){since}"
            yield warn("timer-failed", fault, f"see journalctl --unit={name.replace('.timer', '.service')}")
    if found["live"] and not found["enabled"]:
        target = live_slot(seen)["target"]
        yield fail("process-not-enabled", f"{target} does not start at boot", f"systemctl enable {target}")
    for name in found["idle"]:
        yield warn(
            "process-idle-slot", f"{name}, whose slot has no traffic, is running", f"run site.yml, or stop {name}"
        )


def metrics(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    for name in seen["metrics"]:
        state = unit(seen, name)
        if state.get("active") != "active" or not state["enabled"]:
            enabled = "" if state.get("enabled") else "not "
            found = f"{name} is {state.get('active') or 'unknown'}, {enabled}enabled at boot"
            remedy = f"systemctl enable --now {name}; see journalctl --unit={name.removesuffix('.socket')}"
            yield warn("metrics-socket-inactive", found, remedy)
