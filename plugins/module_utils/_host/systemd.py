# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control and query systemd with as few calls as possible."""

from __future__ import annotations

import glob
import re
import subprocess
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import condense
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import UNITS
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import Output

PROPERTIES = (
    "Id",
    "ActiveState",
    "SubState",
    "NeedDaemonReload",
    "MainPID",
    "ActiveEnterTimestamp",
    "ActiveEnterTimestampMonotonic",
    "CanReload",
    "LoadState",
    "StatusText",
    "NRestarts",
    "Result",
)

# Symlinks of enabled units. They are read from the disk, because systemd reports the state at the time when it last read its unit files.
LINKS = (f"{UNITS}/*.wants", "/run/systemd/system/*.wants")

# Limits for reading the journal of a failed instance. They are high, because workers may print much output after the cause.
MOST_MESSAGES = 20_000
MOST_BYTES = 4 << 20

# Extra seconds beyond a unit's own timeouts. A service can extend its timeouts (EXTEND_TIMEOUT_USEC of sd_notify(3)), so without a limit, a
# hostile app could make systemctl wait forever.
MARGIN_SECONDS = 5
# Seconds to wait after each SIGKILL, and attempts before a unit counts as unstoppable.
KILL_SECONDS, KILLS = 10, 3
# Exit status of timeout(1).
TIMED_OUT = 124

UNIT_SECONDS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "month": 2629800,
    "y": 31557600,
}


class Unit(NamedTuple):
    """The state of a unit."""

    name: str
    active: str
    sub: str
    enabled: bool
    needs_daemon_reload: bool
    main_pid: int
    since: str
    can_reload: bool = True
    masked: bool = False
    status: str = ""
    restarts: int = 0
    """How often systemd has restarted the service by itself since it was last started."""
    entered: float = 0
    """When it became active, in seconds of CLOCK_MONOTONIC; 0 if it never did."""
    result: str = ""
    """Why the service failed, for instance ``timeout`` if it was killed."""

    @property
    def running(self) -> bool:
        return self.active in ("active", "reloading")

    @property
    def stopped(self) -> bool:
        return self.active in ("inactive", "failed")

    @property
    def stopping(self) -> bool:
        return self.active == "deactivating"


class SystemdError(Exception):
    """systemctl failed; the message is its output."""


def starts_at_boot(unit: str) -> bool:
    """Return whether *unit* is enabled on disk, even if systemd has not reloaded its unit files since then."""
    return any(glob.glob(f"{directories}/{glob.escape(unit)}") for directories in LINKS)


def parse_properties(text: str) -> list[dict[str, str]]:
    """Return the properties of each unit in the output of ``systemctl show``."""
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.strip().split("\n\n")
    ]


def parse_show(text: str) -> dict[str, Unit]:
    """Return the units in the output of ``systemctl show``, by name."""
    return {
        unit["Id"]: Unit(
            name=unit["Id"],
            active=unit.get("ActiveState", "inactive"),
            sub=unit.get("SubState", ""),
            enabled=starts_at_boot(unit["Id"]),
            needs_daemon_reload=unit.get("NeedDaemonReload") == "yes",
            main_pid=int(unit.get("MainPID") or 0),
            since=unit.get("ActiveEnterTimestamp", ""),
            can_reload=unit.get("CanReload") != "no",
            masked=unit.get("LoadState") == "masked",
            status=unit.get("StatusText", ""),
            restarts=int(unit.get("NRestarts") or 0),
            entered=int(unit.get("ActiveEnterTimestampMonotonic") or 0) / 1e6,
            result=unit.get("Result", ""),
        )
        for unit in parse_properties(text)
        if unit.get("Id")
    }


def parse_timespan(text: str) -> float:
    """Parse a time span of systemd, such as ``1min 30s`` or ``infinity``, into seconds."""
    if text == "infinity":
        return float("inf")
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in re.findall(r"([\d.]+)([a-z]+)", text))


def misread_lines(text: str, path: str) -> str:
    """Return the messages about the file *path* in *text*, the output of ``systemd-analyze verify``."""
    return "; ".join(line.split(path, 1)[1].lstrip(":") for line in text.splitlines() if path in line)


def read_output(argv: list[str]) -> str:
    """Return the start and the end of the output of *argv*. The limit protects against a hostile app that fills its journal."""
    output = Output(MOST_BYTES)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while chunk := process.stdout.read1(1 << 20):
            output.add(chunk)
    return output.text()


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

    def _limits(self, *units: str) -> tuple[float, float]:
        """Return the longest start and stop timeouts of *units*, 0 if none of them is a service."""
        out = self._systemctl("show", "--property=TimeoutStartUSec,TimeoutStopUSec", *units)
        starting, stopping = (
            max(parse_timespan(unit.get(f"Timeout{kind}USec", "")) for unit in parse_properties(out))
            for kind in ("Start", "Stop")
        )
        return starting, stopping

    def _within(self, seconds: float, *arguments: str) -> bool:
        """Run systemctl with *arguments*; return whether its job has finished within *seconds*. A timeout does not cancel the job."""
        limit = f"{seconds:.0f}" if 0 < seconds < float("inf") else "0"  # 0 disables the timeout
        status, out, err = self._run_command(["timeout", limit, "systemctl", "--no-ask-password", *arguments])
        if status not in (0, TIMED_OUT):
            raise SystemdError((err or out).strip() or f"systemctl {' '.join(arguments)} ended with {status}")
        return status == 0

    def start(self, *units: str) -> None:
        """Start *units*; raise SystemdError if they exceed their own timeouts."""
        starting, stopping = self._limits(*units)
        # Include the stop timeout, because systemd stops a unit that fails to start.
        seconds = starting and starting + stopping + MARGIN_SECONDS
        while not self._within(seconds, "start", *units):
            # Keep waiting while a unit is inactive: it waits for other units, such as the network.
            if all(unit.active != "inactive" for unit in self.show(*units).values()):
                raise SystemdError(f"timeout was exceeded: {' and '.join(units)} did not start within {seconds:.0f} s")

    def begin_stop(self, *units: str) -> None:
        """Begin to stop *units* together without waiting; stop() waits until they have stopped."""
        self._systemctl("stop", "--no-block", *units)

    def stop(self, *units: str) -> None:
        """Stop *units* together and reset their failed state. Kills services that exceed their own timeouts."""
        _starting, stopping = self._limits(*units)
        if not self._within(stopping and stopping + MARGIN_SECONDS, "stop", *units):
            self._kill(*units)
        self.reset_failed(*units)

    def stop_within(self, seconds: float, *units: str) -> bool:
        """Stop *units* together; return whether they stopped within *seconds*. If not, they continue to stop, within their own timeouts."""
        return self._within(seconds, "stop", *units)

    def reset_failed(self, *units: str) -> None:
        """Reset the failed state of *units*; ignore units that have not failed."""
        self._run_command(["systemctl", "reset-failed", *units])

    def restart(self, unit: str) -> None:
        """Restart *unit*; raise SystemdError if it exceeds its own timeouts."""
        starting, stopping = self._limits(unit)
        seconds = starting and starting + stopping + MARGIN_SECONDS
        if not self._within(seconds, "restart", unit):
            raise SystemdError(f"{unit} did not restart within {seconds:.0f} s")

    def _kill(self, *units: str) -> None:
        """Kill all processes of *units*, which have a pending stop job, until they have stopped."""
        services = [unit for unit in units if unit.endswith(".service")]
        for _time in range(KILLS):
            # systemctl kills the whole control group by default, and fails if the unit has just stopped.
            self._run_command(["systemctl", "kill", "--signal=SIGKILL", *services])
            if self._within(KILL_SECONDS, "stop", *units):
                return
        raise SystemdError(f"{' and '.join(services)} cannot be stopped: some processes survive SIGKILL")

    def reload(self, unit: str) -> None:
        starting, _stopping = self._limits(unit)
        seconds = starting and starting + MARGIN_SECONDS
        if not self._within(seconds, "reload", unit):
            raise SystemdError(f"{unit} did not accept the reload request within {seconds:.0f} s")

    def enable(self, *units: str, read: bool = True) -> None:
        """Enable *units* at boot. If *read* is false, systemd does not reload its unit files before the next call of disable()."""
        self._systemctl("enable", "--quiet", *([] if read else ["--no-reload"]), *units)

    def disable(self, *units: str) -> None:
        self._systemctl("disable", "--quiet", *units)

    def daemon_reload(self) -> None:
        self._systemctl("daemon-reload")

    def misread(self, unit: str, path: str) -> str:
        """Return the errors that systemd finds in the file *path* of *unit*, "" if there are none.

        At run time, systemd only logs a warning about lines with errors, and ignores them.
        """
        return self.misread_files({path: unit}).get(path, "")

    def misread_files(self, units: dict[str, str]) -> dict[str, str]:
        """Like misread(), for several files; *units* maps their paths to units. Return the errors of each file that has some."""
        _status, out, err = self._run_command(["systemd-analyze", "--man=no", "verify", *sorted(set(units.values()))])
        found = {path: misread_lines(out + err, path) for path in units}
        return {path: errors for path, errors in found.items() if errors}

    def journal(self, unit: str, since: float) -> str:
        """Return the journal of *unit* since *since* (seconds since the epoch), shortened but with the causes."""
        _status, namespace, _err = self._run_command(["systemctl", "show", "--value", "--property=LogNamespace", unit])
        namespace = namespace.strip()
        # The journal may lag behind on a busy host. If it cannot be flushed, its current content is used.
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
            # "+" also includes the system's journal, which contains systemd's own messages about the unit.
            command.append(f"--namespace=+{namespace}")
        return condense(read_output(command).strip())
