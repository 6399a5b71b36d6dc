# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What doctor observes of an app on this host. Everything here reads, nothing judges.

What cannot be read is None: the judgement, on the controller, says what that means.
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
import subprocess
from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils.files import read_link, read_text

PROPERTIES = (
    "Id LoadState ActiveState UnitFileState NeedDaemonReload MainPID "
    "TimeoutStopUSec WatchdogUSec ActiveEnterTimestamp".split()
)

# What nginx notes when the queue of the app's socket is full: it answers 502.
QUEUE_FULL = b"(11: Resource temporarily unavailable) while connecting to upstream"
LOG_TAIL = 4 << 20

SECONDS = {
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

UNSYNCHRONISED = 0x40  # STA_UNSYNC, adjtimex(2)

PYTHON_VERSION = "import sys; print('%d.%d' % sys.version_info[:2], end='')"


# ---- systemd


def units(run_command: Callable, names: list) -> dict:
    """Return what systemd says of the units *names*, by name."""
    _status, out, _err = run_command(["systemctl", "show", f"--property={','.join(PROPERTIES)}", *names])
    found = {}
    for block in out.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("Id"):
            found[values["Id"]] = {
                "there": values.get("LoadState") != "not-found",
                "active": values.get("ActiveState"),
                "enabled": values.get("UnitFileState") in ("enabled", "enabled-runtime", "static"),
                "needs_daemon_reload": values.get("NeedDaemonReload") == "yes",
                "main_pid": int(values.get("MainPID") or 0),
                "stop_seconds": seconds(values.get("TimeoutStopUSec", "")),
                "watchdog_seconds": seconds(values.get("WatchdogUSec", "")),
            }
    return found


def seconds(text: str) -> float | None:
    """Return the seconds in a time span as systemd writes it, ``1min 20s``; None for ``infinity``."""
    parts = re.findall(r"([\d.]+)([a-z]+)", text)
    return sum(float(number) * SECONDS[unit] for number, unit in parts if unit in SECONDS) if parts else None


def timers(name: str, renews: bool, directory: str = "/etc/systemd/system") -> list:
    """Return the timers that have to run: ours, those of the app *name*, logrotate's, and certbot's if it *renews*."""
    found = {path.name for pattern in (f"{name}-*.timer", "asgi-*.timer") for path in Path(directory).glob(pattern)}
    if os.path.exists("/usr/lib/systemd/system/logrotate.timer"):
        found.add("logrotate.timer")
    if renews:
        found.add("certbot.timer")
    return sorted(found)


# ---- files


def assignments(text: str | None) -> dict:
    """Return the settings in a gunicorn.conf.py that are plain values."""
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
    """Return the names of the settings in a file for systemd; values may be secrets."""
    return sorted(set(re.findall(r"^(\w+)=", text or "", re.MULTILINE)))


def directive_seconds(site: str | None, name: str) -> int | None:
    """Return the seconds of the first directive *name* in the text of an nginx *site*."""
    found = re.search(rf"^\s*{name}\s+(\d+)s?;", site or "", re.MULTILINE)
    return int(found.group(1)) if found else None


def mode(path: str) -> dict | None:
    """Return what *path* is, whose, and who may do what with it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return {
        "socket": stat.S_ISSOCK(found.st_mode),
        "owner": _name(pwd.getpwuid, found.st_uid),
        "group": _name(grp.getgrgid, found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }


def _name(look_up, number):
    try:
        return look_up(number)[0]
    except KeyError:
        return str(number)


def entries(text: str | None) -> list | None:
    """Return the entries of a release log, None if it is not one."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return None
    keys = {"release", "config", "slot", "result"}
    good = isinstance(found, list) and all(isinstance(entry, dict) and keys <= set(entry) for entry in found)
    return found if good else None


def releases(directory: str) -> list:
    """Return the directories among the releases, each with when it was completed, None for one that never was."""
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
    """Return for which version of Python the packages of *release* were installed, and which one its interpreter is."""
    recorded = found = None
    with contextlib.suppress(ValueError, OSError, AttributeError):
        recorded = json.loads(read_text(release["manifest"]) or "{}").get("python")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        argv = [release["python"], "-I", "-S", "-c", PYTHON_VERSION]
        found = subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=30, check=False).stdout or None
    return {"recorded": recorded, "found": found}


def leftovers(directory: str) -> list:
    """Return what interrupted runs have left half-made or half-removed among the configurations."""
    return sorted(path.name for pattern in (".new-*", ".old-*") for path in Path(directory).glob(pattern))


def disk(home: str, release: str) -> dict:
    """Return the space that is free for the app in MiB and files, and what its live release takes."""
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
        # some file systems have no fixed number of files
        "free_files": found.f_favail if found.f_files else None,
        "release_files": files,
    }


def locks(paths: list) -> list:
    """Return the note in each of the lock files *paths*, and the process that holds it, without touching the lock."""
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
    """Return whether the kernel says that something keeps the clock right, be it timesyncd, chrony or ntpd."""

    class Timex(ctypes.Structure):
        _fields_ = [
            ("modes", ctypes.c_uint),
            *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 512),
        ]

    asked = Timex()  # no modes: only asks
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(asked)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return not asked.status & UNSYNCHRONISED


def queue(text: str, path: str) -> dict | None:
    """Return how many connections wait at the listening socket *path*, and how many may, by what ss(8) says."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[4] == path:
            return {"waiting": int(words[2]), "limit": int(words[3])}
    return None


def tcp_drops(netstat: str | None, snmp: str | None) -> dict | None:
    """Return how many TCP connections came in since the host was started, and how many found the queue full."""
    drops, total = _counters(netstat, "TcpExt"), _counters(snmp, "Tcp")
    if "ListenOverflows" not in drops or "PassiveOpens" not in total:
        return None
    return {"dropped": drops["ListenOverflows"], "accepted": total["PassiveOpens"]}


def _counters(text: str | None, group: str) -> dict:
    lines = [line.split()[1:] for line in (text or "").splitlines() if line.startswith(f"{group}:")]
    return dict(zip(lines[0], map(int, lines[1]))) if len(lines) > 1 else {}


def queue_full(log: str) -> int:
    """Return how often nginx has noted in the file *log* that the queue of the app's socket was full."""
    try:
        with open(log, "rb") as file:
            file.seek(max(os.path.getsize(log) - LOG_TAIL, 0))
            return file.read().count(QUEUE_FULL)
    except OSError:
        return 0
