# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of an app, for the module app_log and the host command."""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import SERVICE_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import Process
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_slots import ProcessSlots
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import from_drop_in
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS

# the name of the web server in the list of processes
WEB = "web"


class NoProcess(Reported):
    """The app has no process of that name; the message lists those that it has."""


def check_process(app: ProcessSlots, name: str, timers: bool = True) -> None:
    """Raise NoProcess if the live release of *app* has no process *name*, nor, with *timers*, a timer of that name."""
    names = [WEB, *(process.name for process in live_processes(app) if timers or not process.is_timer)]
    if name not in names:
        raise NoProcess(f"{app.paths['name']} has no process {name!r} -> use {' or '.join(names)}")


def live_processes(app: ProcessSlots) -> list[Process]:
    """Return the processes and timers of the live release."""
    slot = app.live_slot()
    return app.processes(slot) if slot else []


def journal_command(app: ProcessSlots, process: str | None, lines: int, since: str | None) -> list[str]:
    """Return the journalctl command that prints the last *lines* of *process*, by default of all processes, since the time *since*."""
    check_process(app, process or WEB)
    units = [app.paths["slots"][slot]["service_unit"] for slot in SLOTS] if process in (None, WEB) else []
    listed = [each for each in live_processes(app) if process in (None, each.name)]
    units += [unit for slot in SLOTS for each in listed for unit in each.services(app.paths["name"], slot)]
    # No pager, because it could start programs as root.
    command = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={lines}"]
    command += [f"--unit={unit}" for unit in units]
    settings = app.config_files(app.live_pair()).get(SERVICE_FILE) or ""
    # "+" also includes the system's journal, which contains systemd's own messages about the units.
    command += [f"--namespace=+{name}" for key, name in from_drop_in(settings, "") if key == "LogNamespace" and name]
    return [*command, f"--since={since}"] if since else command
