# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that keep the state of clients in the process, so that they do not work with several workers."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import normalised

SESSIONS = "keeps the sessions of its users in the process"
STATELESS_MCP = (
    "keeps the sessions of MCP clients in the process, unless it is a client or serves with stateless_http=True"
)

PACKAGES = {
    "bokeh": SESSIONS,
    "chainlit": SESSIONS,
    "fastmcp": STATELESS_MCP,
    "flet": SESSIONS,
    "gradio": "keeps the queue of events and the sessions of its users in the process",
    "marimo": SESSIONS,
    "mcp": STATELESS_MCP,
    "nicegui": SESSIONS,
    "panel": SESSIONS,
    "python-socketio": "keeps its clients in the process, unless it has a client manager and only the transport websocket",
    "reflex": "keeps the state of its users in the process, unless it uses Redis",
    "shiny": SESSIONS,
    "solara": SESSIONS,
}
# Packages that require another one, which need not be named too.
CONTAINED = {
    "chainlit": ("python-socketio", "mcp"),
    "fastmcp": ("mcp",),
    "gradio": ("mcp",),
    "nicegui": ("python-socketio",),
    "panel": ("bokeh",),
    "reflex": ("python-socketio",),
}


def new_advice(packages: Iterable[str], serving: tuple, before: tuple) -> str | None:
    """Return state_advice() unless the same release with the same number of workers was live before, so that the user has read it.

    *serving* and *before* are pairs of a release and a number of workers.
    """
    return None if serving == before else state_advice(packages, serving[1])


def state_advice(packages: Iterable[str], workers: int | None) -> str | None:
    """Explain which of the *packages* of a release break with this number of *workers*; None if there are none."""
    found = PACKAGES.keys() & {normalised(name) for name in packages}
    found -= {name for package in found for name in CONTAINED.get(package, ())}
    if not found or not isinstance(workers, int) or workers < 2:
        return None
    reasons = "; ".join(f"{name} {PACKAGES[name]}" for name in sorted(found))
    return (
        f"{workers} workers serve the app, and requests of one client reach all of them, but its release contains packages with state in "
        f"the process: {reasons} -> set asgi_server_workers to 1, or move the state out of the process, see "
        "docs/explanation/state-in-the-process.md"
    )
