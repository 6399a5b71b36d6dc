# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few things the modules ask of systemd, in as few calls as they take."""

from __future__ import annotations

import glob
import json
from typing import Callable, NamedTuple

PROPERTIES = (
    "Id",
    "ActiveState",
    "SubState",
    "NeedDaemonReload",
    "MainPID",
    "ActiveEnterTimestamp",
    "CanReload",
)

# What enabling a unit leaves, read from the disk: systemd itself says what was there when it read its units last.
LINKS = ("/etc/systemd/system/*.wants", "/run/systemd/system/*.wants")

# of what an instance that failed has said, of all its workers
MOST_MESSAGES = 1000
FIRST_LINES, LAST_LINES = 60, 30


class Unit(NamedTuple):
    """What systemd says of one unit."""

    name: str
    active: str
    sub: str
    enabled: bool
    needs_daemon_reload: bool
    main_pid: int
    since: str
    can_reload: bool = True

    @property
    def running(self) -> bool:
        return self.active in ("active", "reloading")

    @property
    def stopped(self) -> bool:
        return self.active in ("inactive", "failed")


class SystemdError(Exception):
    """systemctl refused; the message is its own."""


def starts_at_boot(unit: str) -> bool:
    """Return whether *unit* is enabled, be it that systemd has not read that yet."""
    return any(glob.glob(f"{directories}/{glob.escape(unit)}") for directories in LINKS)


def parse_show(text: str) -> dict[str, Unit]:
    """Return the units in the output of ``systemctl show``, by name."""
    units = {}
    for block in text.strip().split("\n\n"):
        found = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if found.get("Id"):
            units[found["Id"]] = Unit(
                name=found["Id"],
                active=found.get("ActiveState", "inactive"),
                sub=found.get("SubState", ""),
                enabled=starts_at_boot(found["Id"]),
                needs_daemon_reload=found.get("NeedDaemonReload") == "yes",
                main_pid=int(found.get("MainPID") or 0),
                since=found.get("ActiveEnterTimestamp", ""),
                can_reload=found.get("CanReload") != "no",
            )
    return units


def readable_journal(text: str) -> str:
    """Return journal messages as a person reads them: our JSON lines unfolded, the rest as it is."""
    lines = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "message" not in entry:
            lines.append(line)
            continue
        lines.append(f"[{entry.get('level', '')}] {entry.get('logger', '')}: {entry['message']}")
        lines += str(entry.get("exception", "")).splitlines()
    return "\n".join(lines)


def excerpt(text: str, first: int = FIRST_LINES, last: int = LAST_LINES) -> str:
    """Return the beginning and the end of *text*: what goes wrong is told first, and what came of it last."""
    lines = text.splitlines()
    left_out = len(lines) - first - last
    if left_out <= 0:
        return text
    return "\n".join([*lines[:first], f"... {left_out} lines ...", *lines[-last:]])


def misread_lines(text: str, path: str) -> str:
    """Return those lines of ``systemd-analyze verify`` that speak of the file *path*."""
    return "; ".join(line.split(path, 1)[1].lstrip(":") for line in text.splitlines() if path in line)


class Systemd:
    """systemctl and journalctl, run by *run_command* (AnsibleModule.run_command)."""

    def __init__(self, run_command: Callable) -> None:
        self._run_command = run_command

    def _systemctl(self, *arguments: str) -> str:
        status, out, err = self._run_command(["systemctl", "--no-ask-password", *arguments])
        if status:
            raise SystemdError((err or out).strip() or f"systemctl {' '.join(arguments)} ended with {status}")
        return out

    def show(self, *units: str) -> dict[str, Unit]:
        return parse_show(self._systemctl("show", f"--property={','.join(PROPERTIES)}", *units))

    def start(self, *units: str) -> None:
        self._systemctl("start", *units)

    def begin_stop(self, *units: str) -> None:
        """Have *units* begin to stop together; stop() waits until they have."""
        self._systemctl("stop", "--no-block", *units)

    def stop(self, *units: str) -> None:
        """Stop *units* together and forget that they had failed."""
        self._systemctl("stop", *units)
        self._run_command(["systemctl", "reset-failed", *units])  # refuses units that have not failed: no matter

    def reload(self, unit: str) -> None:
        self._systemctl("reload", unit)

    def enable(self, *units: str, read: bool = True) -> None:
        """Have *units* start at boot. Not *read* at once, systemd itself learns of it when it is told to disable others."""
        self._systemctl("enable", "--quiet", *([] if read else ["--no-reload"]), *units)

    def disable(self, *units: str) -> None:
        self._systemctl("disable", "--quiet", *units)

    def daemon_reload(self) -> None:
        self._systemctl("daemon-reload")

    def misread(self, unit: str, path: str) -> str:
        """Return what systemd does not understand in the file *path* of *unit*, the empty string if it is fine.

        At run time such lines are only warned of in the journal, and the setting is missing.
        """
        _status, out, err = self._run_command(["systemd-analyze", "--man=no", "verify", unit])
        return misread_lines(out + err, path)

    def journal(self, unit: str, since: float) -> str:
        """Return what *unit* has said since the time *since* (seconds since the epoch), in an excerpt if it is long."""
        _status, namespace, _err = self._run_command(["systemctl", "show", "--value", "--property=LogNamespace", unit])
        namespace = namespace.strip()
        # the journal may be behind, just when a host has much to do; where it cannot say so, what it has is shown
        self._run_command(["journalctl", "--sync", *([f"--namespace={namespace}"] if namespace else [])])
        command = [
            "journalctl",
            "--unit",
            unit,
            f"--since=@{int(since)}",
            "--output=cat",
            "--no-pager",
            f"--lines={MOST_MESSAGES}",
        ]
        if namespace:
            # + for what systemd itself says of the unit, which is in the system's journal
            command.append(f"--namespace=+{namespace}")
        _status, out, err = self._run_command(command)
        return excerpt(readable_journal(out or err).strip())
