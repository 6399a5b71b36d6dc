# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect the state of an app on this host for doctor, without assessing it.

An observation that fails has the value None. The controller assesses the values.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import grp
import json
import os
import pwd
import re
import stat
from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import DamagedLog, read_log
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import entry_name, read_link, read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.interpreter import version_of
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import UNITS
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import parse_properties, parse_timespan

PROPERTIES = (
    "Id LoadState ActiveState UnitFileState NeedDaemonReload MainPID "
    "TimeoutStopUSec WatchdogUSec ActiveEnterTimestamp".split()
)

# nginx logs this message and returns 502 if the queue of the app's socket is full.
QUEUE_FULL = b"(11: Resource temporarily unavailable) while connecting to upstream"
LOG_TAIL = 4 << 20

UNSYNCHRONISED = 0x40  # STA_UNSYNC, adjtimex(2)


# ---- systemd


def units(run_command: Callable, names: list) -> dict:
    """Return the properties of the systemd units *names*, by name."""
    _status, out, _err = run_command(["systemctl", "show", f"--property={','.join(PROPERTIES)}", *names])
    return {
        unit["Id"]: {
            "there": unit.get("LoadState") != "not-found",
            "active": unit.get("ActiveState"),
            "enabled": unit.get("UnitFileState") in ("enabled", "enabled-runtime", "static"),
            "needs_daemon_reload": unit.get("NeedDaemonReload") == "yes",
            "main_pid": int(unit.get("MainPID") or 0),
            "stop_seconds": finite_seconds(unit.get("TimeoutStopUSec", "")),
            "watchdog_seconds": finite_seconds(unit.get("WatchdogUSec", "")),
        }
        for unit in parse_properties(out)
        if unit.get("Id")
    }


def finite_seconds(text: str) -> float | None:
    """Parse a time span of systemd, such as ``1min 20s``, into seconds; None if it is zero, empty or ``infinity``."""
    seconds = parse_timespan(text)
    return seconds if 0 < seconds < float("inf") else None


def timers(name: str, renews: bool, directory: str = UNITS) -> list:
    """Return the timers that must run: those of this collection and of the app *name*, logrotate's, and, if *renews*, certbot's."""
    found = {path.name for pattern in (f"{name}-*.timer", "asgi-*.timer") for path in Path(directory).glob(pattern)}
    # Without logrotate, nginx's logs would fill the disk.
    found.add("logrotate.timer")
    if renews:
        found.add("certbot.timer")
    return sorted(found)


# ---- files


def assignments(text: str | None) -> dict:
    """Return the settings with literal values in *text*, the content of a gunicorn.conf.py."""
    try:
        tree = ast.parse(text or "")
    except SyntaxError:
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def setting_names(text: str | None) -> list:
    """Return the names of the variables in an environment file. The values are omitted, because they may be secrets."""
    return sorted(set(re.findall(r"^(\w+)=", text or "", re.MULTILINE)))


def directive_seconds(site: str | None, name: str) -> int | None:
    """Return the value in seconds of the first directive *name* in the configuration text of an nginx *site*."""
    found = re.search(rf"^\s*{name}\s+(\d+)s?;", site or "", re.MULTILINE)
    return int(found.group(1)) if found else None


def mode(path: str) -> dict | None:
    """Return the type, the owner, the group and the mode of *path*."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return {
        "socket": stat.S_ISSOCK(found.st_mode),
        "owner": entry_name(pwd.getpwuid, found.st_uid),
        "group": entry_name(grp.getgrgid, found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }


def entries(path: str) -> list | None:
    """Return the entries of the release log *path*, None if it is damaged."""
    try:
        return read_log(path)
    except DamagedLog:
        return None


def releases(directory: str) -> list:
    """Return the release directories, each with the time when its build finished, or None if the release is incomplete."""
    found = []
    for path in sorted(Path(directory).glob("*")):
        if path.is_dir() and not path.is_symlink():
            manifest = None
            with contextlib.suppress(ValueError, OSError):
                manifest = json.loads(read_text(str(path / "release.json")) or "null")
            built_at = manifest.get("built_at") if isinstance(manifest, dict) else None
            found.append({"release": path.name, "built_at": built_at})
    return found


def pythons(release: dict) -> dict:
    """Return two Python versions: the one that the packages of *release* were installed for, and the one of its interpreter."""
    recorded = None
    with contextlib.suppress(ValueError, OSError, AttributeError):
        recorded = json.loads(read_text(release["manifest"]) or "{}").get("python")
    return {"recorded": recorded, "found": version_of(release["python"]) or None}


def leftovers(directory: str) -> list:
    """Return the names of temporary configuration directories that interrupted runs have left behind."""
    return sorted(path.name for pattern in (".new-*", ".old-*") for path in Path(directory).glob(pattern))


def disk(home: str, release: str) -> dict:
    """Return the free space of the file system of *home* and the size of *release*, both in MiB and in files."""
    files = blocks = 0
    for directory, names, others in os.walk(release):
        for name in [*names, *others]:
            with contextlib.suppress(OSError):
                blocks += os.lstat(os.path.join(directory, name)).st_blocks
                files += 1
    found = os.statvfs(home)
    return {
        "free_mb": found.f_bavail * found.f_frsize >> 20,
        "release_mb": blocks * 512 >> 20,
        # Some file systems do not limit the number of files.
        "free_files": found.f_favail if found.f_files else None,
        "release_files": files,
    }


def locks(paths: list) -> list:
    """Return the note in each of the lock files *paths* and the process that holds the lock, without acquiring it."""
    held = {}
    for line in (read_text("/proc/locks") or "").splitlines():
        words = line.split()
        if "FLOCK" in words and "->" not in words:
            held.setdefault(int(words[5].rpartition(":")[2]), []).append(int(words[4]))
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            holders = [pid for pid in held.get(os.stat(path).st_ino, []) if _has_open(pid, path)]
            note = (read_text(path) or "").strip()
            found.append({"path": path, "note": note, "held_by": holders[0] if holders else None})
    return found


def _has_open(pid: int, path: str) -> bool:
    return any(read_link(str(each)) == path for each in Path(f"/proc/{pid}/fd").glob("*"))


# ---- the kernel


def clock_synchronised() -> bool | None:
    """Return whether the kernel reports a synchronised clock, regardless of which NTP client synchronises it."""

    class Timex(ctypes.Structure):
        _fields_ = [
            ("modes", ctypes.c_uint),
            *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 512),
        ]

    timex = Timex()  # With modes = 0, adjtimex(2) only reads.
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return not timex.status & UNSYNCHRONISED


def queue(text: str, path: str) -> dict | None:
    """Return the length and the limit of the accept queue of the socket *path*, from *text*, the output of ss(8)."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[4] == path:
            return {"waiting": int(words[2]), "limit": int(words[3])}
    return None


def tcp_drops(netstat: str | None, snmp: str | None) -> dict | None:
    """Return how many TCP connections were accepted since boot, and how many were dropped because an accept queue was full."""
    drops, total = _counters(netstat, "TcpExt"), _counters(snmp, "Tcp")
    if "ListenOverflows" not in drops or "PassiveOpens" not in total:
        return None
    return {"dropped": drops["ListenOverflows"], "accepted": total["PassiveOpens"]}


def _counters(text: str | None, group: str) -> dict:
    lines = [line.split()[1:] for line in (text or "").splitlines() if line.startswith(f"{group}:")]
    return dict(zip(lines[0], map(int, lines[1]))) if len(lines) > 1 else {}


def queue_full(log: str) -> int:
    """Count the entries at the end of nginx's error log *log* that report a full queue of the app's socket."""
    try:
        with open(log, "rb") as file:
            file.seek(max(os.path.getsize(log) - LOG_TAIL, 0))
            return file.read().count(QUEUE_FULL)
    except OSError:
        return 0
