# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an app and the history of its releases, for the module app_info and the host command."""

from __future__ import annotations

import json
import time
from typing import Any, Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import ENV_FILE, config_digest
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import PROCESSES_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import (
    DamagedLog,
    NoSuchRelease,
    history,
    rollback_target,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App, other
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import serving
from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import live_plan
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import render_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import release_paths
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.open_connections import proxy
from ansible_collections.asgi.deploy.plugins.module_utils._tls.site_certificate import (
    certificate_path,
    describe_certificate,
)


def describe(app: App, run_command: Callable) -> dict[str, Any]:
    """Return the state of *app*, as in the result of the module app_info."""
    paths, state = app.paths, app.state()
    live = paths["slots"][state.live] if state.live else None
    service = state.units[live["service_unit"]] if live else None
    idle = state.units[paths["slots"][other(state.live)]["service_unit"]]
    pair = state.live_pair
    certificate = describe_certificate(run_command, certificate_path(read_text(paths["nginx_site"])), time.time())
    return {
        "name": paths["name"],
        "slot": state.live,
        "release": pair.release if pair else None,
        "config": pair.config if pair else None,
        "common_config": _common_config(app, pair) if pair else None,
        "state": service.active if service else "not deployed",
        "since": service.since if service else "",
        "workers": len(serving(service)) if service else 0,
        "connections": _connections(app.systemd),
        "plan": live_plan(paths["name"])["reason"],
        **_rollback(app, pair),
        "processes": app.process_report(state.live),
        "idle_state": idle.active,
        **_contents(paths["name"], pair),
        "certificate_days": certificate["days"] if certificate else None,
        "certificate": certificate,
    }


def releases(app: App) -> list[dict[str, Any]]:
    """Return the entries of the release log of *app*, the newest first, see release_log.history(); [] if the log is damaged."""
    try:
        return history(app.log(), app.live_pair(), app.on_disk)
    except DamagedLog:
        return []


def _common_config(app, pair):
    """Return the digest of the configuration without the files of its processes, some of which run on the first host only."""
    files = app.config_files(pair)
    if PROCESSES_FILE not in files:
        return pair.config
    return config_digest(
        {
            **{
                name: text for name, text in files.items() if name != PROCESSES_FILE and not name.startswith("process.")
            },
            ENV_FILE: render_environment(app.environment(pair)),
        }
    )


def _contents(name, pair):
    """Return the Python and the packages of the live release."""
    text = read_text(release_paths(name, pair.release)["manifest"]) if pair else None
    manifest = json.loads(text or "{}")
    return {"python": manifest.get("python"), "packages": manifest.get("packages", {})}


def _connections(systemd):
    nginx = proxy(systemd.show("nginx.service")["nginx.service"].main_pid)
    return {"used": nginx["connections"], "limit": nginx["limit"]}


def _rollback(app, pair):
    """Return the release that a rollback would activate, and the defect of the release log, if any."""
    try:
        return {"previous": rollback_target(app.log(), pair, app.on_disk).release, "log_fault": None}
    except NoSuchRelease:
        return {"previous": None, "log_fault": None}
    except DamagedLog as exc:
        return {"previous": None, "log_fault": str(exc)}
