# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host has for an app, for whoever asks: the module host_info, or a module that has something else to do here."""

from __future__ import annotations

import os

from ansible_collections.asgi.deploy.plugins.module_utils.capacity import capacity, measured_memory
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils.workers import serving


def what_it_has(app: App, paths: list) -> dict:
    """Return what *app* may use of this host, and which of *paths* exist."""
    return {
        "capacity": {**capacity(app.paths["name"]), "measured_memory_mb": _measured(app)},
        "present_paths": [path for path in paths if os.path.lexists(path)],
    }


def _measured(app: App) -> int | None:
    """Return the MiB of the largest live worker, None if nothing is live."""
    if app.live_pair() is None:
        return None
    state = app.state()
    return measured_memory(serving(state.units[app.paths["slots"][state.live]["service_unit"]]))
