# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart the live release without losing a request, by starting it in the other slot."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App, State
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import Site


def restart(app: App, state: State, run_command: Callable) -> dict[str, Any]:
    """Start the live release of *state* in the other slot and switch to it; return the slot and the result of the site check.

    Unlike a reload, this also replaces the server's main process. The caller holds the lock of *app*.
    """
    probe = app.probe_of(state.live_pair)
    site = Site(app, run_command, probe)
    slot, answers = site.across(lambda verify: app.activate(state.live_pair, state, probe, verify=verify, restart=True))
    return {"slot": slot, "site": site.result(answers)}
