# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host facts for an app: capacity and existing paths. Modules that run anyway return them, so that a play need not run host_info."""

from __future__ import annotations

import os

from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import serving
from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import capacity, measured_memory


def host_facts(app: App, paths: list) -> dict:
    """Return the capacity of this host for *app*, and which of *paths* exist."""
    return {
        "capacity": {**capacity(app.paths["name"]), "measured_memory_mb": _measured(app)},
        "present_paths": [path for path in paths if os.path.lexists(path)],
    }


def _measured(app: App) -> int | None:
    """Return the memory of the largest live worker in MiB, None if no release is live."""
    if app.live_pair() is None:
        return None
    state = app.state()
    return measured_memory(serving(state.units[app.paths["slots"][state.live]["service_unit"]]))
