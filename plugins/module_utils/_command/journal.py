# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of an app, for the module app_log and the host command."""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import SERVICE_FILE, InstalledApp
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import from_drop_in
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS

# the web server among the processes
WEB = "web"


class NoProcess(Reported):
    """The app has no process of that name; the message lists those that it has."""


def check_process(app: InstalledApp, name: str) -> None:
    """Raise NoProcess if *app* has no process *name*."""
    if name != WEB:
        raise NoProcess(f"{app.paths['name']} has no process {name!r} -> use {WEB}")


def journal_command(app: InstalledApp, process: str | None, lines: int, since: str | None) -> list[str]:
    """Return the journalctl command that prints the last *lines* of *process*, by default of all processes, since the time *since*."""
    check_process(app, process or WEB)
    # No pager, because it could start programs as root.
    command = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={lines}"]
    command += [f"--unit={app.paths['slots'][slot]['service_unit']}" for slot in SLOTS]
    settings = app.config_files(app.live_pair()).get(SERVICE_FILE) or ""
    # "+" also includes the system's journal, which contains systemd's own messages about the units.
    command += [f"--namespace=+{name}" for key, name in from_drop_in(settings, "") if key == "LogNamespace" and name]
    return [*command, f"--since={since}"] if since else command
