# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a configuration that describe its processes and timers, and the unit files of a slot that result from them.

A unit file in a configuration contains placeholders, because the configuration does not depend on the slot, the release or the host.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import (
    FAILED,
    SLOTS,
    other_slot,
    process_unit,
    target_unit,
)

PROCESSES_FILE = "processes.json"

# Placeholders in the unit files of a configuration.
PROGRAM = "@program:{}@"
RELEASE = "@release@"
INSTANCE = "@instance@"
OTHER = "@other@"
# "After" in one slot and "Before" in the other, because systemd rejects a cycle.
ORDER = "@order@"
PROGRAM_PLACEHOLDER = re.compile(PROGRAM.format(r"([^@\s]+)"))

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoProgram(Exception):
    """A program exists neither in the release nor on the system; the message contains the remedy."""


class Process(NamedTuple):
    """A process or a timer of a configuration."""

    name: str
    kind: str
    command: list
    instances: int = 1
    exclusive: bool = False
    reload: str = "restart"
    ready: dict = {}  # noqa: RUF012 - never changed
    stop_timeout: int = 60
    timeout: int = 0

    @property
    def is_timer(self) -> bool:
        return self.kind == "timer"

    def services(self, app: str, slot: str) -> list:
        """Return the units of the instances of a process, or the unit of the job that a timer starts."""
        if self.is_timer:
            return [process_unit(app, slot, self.name)]
        return [process_unit(app, slot, self.name, number) for number in range(1, self.instances + 1)]

    def started(self, app: str, slot: str) -> list:
        """Return the units that run while *slot* is live: those of the instances, or the timer."""
        return [process_unit(app, slot, self.name, kind="timer")] if self.is_timer else self.services(app, slot)


def file_of(name: str, part: str | None = None, kind: str = "service") -> str:
    """Return the name of the file in a configuration that belongs to the process *name*."""
    return f"process.{name}{f'.{part}' if part else ''}.{kind}"


def is_secret(file: str) -> bool:
    """Return whether *file* of a configuration contains the environment of a process."""
    return file.startswith("process.") and file.endswith(".env")


def parse_processes(text: str | None) -> list:
    """Return the processes and timers in *text*, the content of processes.json."""
    return [Process(name=name, **entry) for name, entry in sorted(json.loads(text or "{}").items())]


def find_program(release: str, name: str) -> str:
    """Return the path of the program *name* of the *release*, a directory.

    *name* is a path, which may be relative to the code, or the name of a program, which is looked up in the venv and then on the system.
    """
    if "/" in name:
        path = os.path.normpath(os.path.join(release, "code", name))
        found = path if os.access(path, os.X_OK) else None
        place = "does not exist, or is not executable"
    else:
        found = shutil.which(name, path=f"{release}/.venv/bin:{SYSTEM_PATH}")
        place = "is neither in the venv of the release nor in the system"
    if not found:
        raise NoProgram(
            f"the program {name!r} {place} -> add its package to the app's dependencies, or correct the command"
        )
    return found


def unit_files(app: str, slot: str, release: str, files: dict) -> dict:
    """Return the text of each unit for the processes and timers in *files*, those of a configuration, and for *release*, a directory."""
    plan = parse_processes(files.get(PROCESSES_FILE))
    if not plan:
        return {}
    found = {}
    for process in plan:
        for number, unit in enumerate(process.services(app, slot), 1):
            found[unit] = filled(files[file_of(process.name)], slot, release, number)
        for part, kind in ((None, "timer"), (FAILED, "service")):
            text = files.get(file_of(process.name, part, kind))
            if text is not None:
                found[process_unit(app, slot, process.name, part, kind)] = filled(text, slot, release)
    found[target_unit(app, slot)] = target_text(app, slot, plan)
    return found


def filled(text: str, slot: str, release: str, instance: int = 1) -> str:
    """Return *text*, a unit file of a configuration, with its placeholders replaced."""
    text = PROGRAM_PLACEHOLDER.sub(lambda match: find_program(release, match[1]), text)
    values = {
        RELEASE: release,
        INSTANCE: str(instance),
        OTHER: other_slot(slot),
        ORDER: "After" if slot == SLOTS[0] else "Before",
    }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def target_text(app: str, slot: str, plan: list) -> str:
    """Return the unit that starts the processes and timers of *slot* at boot."""
    units = " ".join(unit for process in plan for unit in process.started(app, slot))
    return (
        "# Managed by the Ansible collection asgi.deploy; changes are overwritten.\n"
        f"[Unit]\nDescription={app}, processes and timers of slot {slot}\nWants={units}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
