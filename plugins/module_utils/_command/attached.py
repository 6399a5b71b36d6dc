# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of a release with the terminal or the streams of the caller."""

from __future__ import annotations

import os

from ansible_collections.asgi.deploy.plugins.module_utils._app.command_context import from_configuration
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import ENV_FILE, InstalledApp
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import ID_PATTERN
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import search_path
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import release_paths
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TransientUnit


class NoRelease(Reported):
    """The release does not exist on this host; the message lists those that do."""


def attach(app: InstalledApp, live: Pair, release: str | None, argv: list[str]) -> int:
    """Run *argv* with the code of *release*, by default the *live* one, and the live configuration; return the exit status."""
    paths = app.paths
    chosen = release_paths(paths["name"], _existing(paths, release) if release else live.release)
    context = from_configuration(app, live, chosen)
    unit = TransientUnit(f"asgi-command-{paths['name']}-{os.getpid()}", paths["user"], context.sandbox)
    return unit.attach(
        argv,
        context.directory,
        {"PATH": search_path(chosen["venv"]), "LANG": "C.UTF-8"},
        os.path.join(paths["configs"], live.config, ENV_FILE),
        modules=context.modules,
        create=bool(context.shared),
    )


def _existing(paths: dict, release: str) -> str:
    """Return the id *release*; raise NoRelease if this host does not have it."""
    found = [
        name
        for name in sorted(os.listdir(paths["releases"]))
        if ID_PATTERN.fullmatch(name) and os.path.exists(release_paths(paths["name"], name)["manifest"])
    ]
    if release not in found:
        raise NoRelease(
            f"there is no release {release} of {paths['name']} on this host -> use one of {', '.join(found)}"
        )
    return release
