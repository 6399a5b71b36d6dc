# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many CPUs and how much memory an app may use on this host, and which apps it shares them with.

What Ansible's own facts leave out: the CPU affinity that services inherit, and the limits of control groups, be it those
of a container or those that somebody gave the slices that apps run in. The limits of the app's own unit are left out:
they come from the inventory, and what the inventory no longer has would be found here.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re

from ansible_collections.asgi.deploy.plugins.module_utils.files import read_link
from ansible_collections.asgi.deploy.plugins.module_utils.layout import SLOTS, is_name, layout

PLAN_FILE = "plan.json"

MIB = 1024 * 1024
KIB = 1024

# Version 1 of control groups writes "no limit" as the largest number of pages there is.
UNLIMITED = 1 << 60


def capacity(name: str, root: str = "/") -> dict:
    """Return the facts that a worker plan for the app *name* takes, read below *root*.

    ``processor_nproc`` and ``memtotal_mb`` mean what they mean among Ansible's facts.
    """
    shared, own = cgroup_directories(
        _read(root, "proc/1/mountinfo"), _read(root, "proc/1/cgroup"), ["system.slice", f"system-{escaped(name)}.slice"]
    )
    return {
        "processor_nproc": _allowed_cpus(root, shared + own),
        "memtotal_mb": memory_total(_read(root, "proc/meminfo")),
        "cgroup_cpus": _smallest(cpu_quota(_reader(root, path)) for path in shared + own),
        "cgroup_memory_mb": _smallest(memory_limit(_reader(root, path)) for path in shared),
        "cgroup_app_memory_mb": _smallest(memory_limit(_reader(root, path)) for path in own),
        "apps": apps(root),
    }


def escaped(name: str) -> str:
    """Return the app's *name* as it is in the name of the slice that systemd puts its instances into."""
    return name.replace("-", "\\x2d")


def cgroup_directories(mountinfo: str, cgroup: str, slices: list) -> tuple:
    """Return the directories of the control groups whose limits bind every service, and those that bind the app's alone.

    *mountinfo* and *cgroup* are the texts of /proc/1/mountinfo and /proc/1/cgroup, of either version of control groups;
    *slices* are the slice of all services and, in it, the one of the app.
    """
    groups = {}
    for line in cgroup.splitlines():
        _number, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    shared, own = [], []
    for line in mountinfo.splitlines():
        mount, _dash, kind = line.partition(" - ")
        kind, _source, options = (kind.split(" ") + ["", ""])[:3]
        if kind not in ("cgroup", "cgroup2"):
            continue
        names = {""} if kind == "cgroup2" else {"cpu", "memory"} & set(options.split(","))
        top, point = mount.split(" ")[3:5]
        for controller in sorted(names & set(groups)):
            here = _inside(groups[controller], top).replace("/init.scope", "").strip("/")
            steps = here.split("/") if here else []
            chain = ["/".join([point, *steps[:count]]) for count in range(len(steps) + 1)]
            services = f"{chain[-1]}/{slices[0]}"
            shared += [path for path in [*chain, services] if path not in shared]
            if f"{services}/{slices[1]}" not in own:
                own.append(f"{services}/{slices[1]}")
    return shared, own


def _inside(path: str, top: str) -> str:
    """Return *path* as seen from the directory *top*, which is what has been mounted; "" if it is not below."""
    if top == "/":
        return path
    return path[len(top) :] if path == top or path.startswith(f"{top}/") else ""


def cpu_quota(read) -> float | None:
    """Return how many CPUs a control group may use at once, None without a limit; *read* returns one of its files."""
    words = read("cpu.max").split() or [read("cpu.cfs_quota_us").strip(), read("cpu.cfs_period_us").strip()]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or "0" in words:
        return None  # "max 100000", or -1, or no such file
    return round(int(words[0]) / int(words[1]), 2)


def memory_limit(read) -> int | None:
    """Return how many MiB a control group may use before it is slowed down or killed, None without a limit."""
    limits = [read(name).strip() for name in ("memory.high", "memory.max", "memory.limit_in_bytes")]
    return _smallest(int(limit) // MIB for limit in limits if limit.isdecimal() and int(limit) < UNLIMITED)


def memory_total(meminfo: str) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found.group(1)) // KIB if found else None


def cpu_list(text: str) -> set:
    """Return the CPUs in a list as the kernel and systemd write it: ``0-3,8 10``."""
    cpus: set = set()
    for part in re.findall(r"\d+(?:-\d+)?", text):
        first, _dash, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def _allowed_cpus(root: str, directories: list) -> int | None:
    """Return the number of CPUs that services may run on: PID 1's, which they inherit, and what their slices leave."""
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", _read(root, "proc/1/status"), re.MULTILINE)
    cpus = cpu_list(found.group(1)) if found else set()
    for path in directories:
        effective = cpu_list(_read(root, f"{path}/cpuset.cpus.effective"))
        cpus = cpus & effective or cpus
    return len(cpus) or None


def apps(root: str = "/") -> list:
    """Return the apps that have been staged on this host, with what their live configuration counted on.

    Staged, not live: all apps of a run are staged before the first one is activated, so that each of them sees the others.
    """
    names = sorted(path.split("/")[-2] for path in glob.glob(os.path.join(root, "srv/*/staged")))
    return [{"name": name, **live_plan(name, root)} for name in names if is_name(name)]


def live_plan(name: str, root: str = "/") -> dict:
    """Return the number of workers and the memory of each that the live configuration of *name* was planned with."""
    paths = layout(name)
    slot = (read_link(_below(root, paths["live_socket"])) or "").replace(".sock", "")
    text = _read(root, f"{paths['slots'][slot]['config']}/{PLAN_FILE}") if slot in SLOTS else ""
    plan = None
    with contextlib.suppress(ValueError):
        plan = json.loads(text)
    return {key: plan.get(key) if isinstance(plan, dict) else None for key in ("workers", "worker_memory", "reason")}


def proportional_memory(pid: int, root: str = "/") -> int | None:
    """Return the MiB of memory of process *pid*, with its share of what it has in common with others; None if unknown."""
    found = re.search(r"^Pss:\s+(\d+) kB$", _read(root, f"proc/{pid}/smaps_rollup"), re.MULTILINE)
    return int(found.group(1)) // KIB if found else None


def measured_memory(workers: set) -> int | None:
    """Return the MiB of the largest of the processes *workers*, None if there is none."""
    sizes = [size for size in map(proportional_memory, workers) if size is not None]
    return max(sizes, default=None)


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _read(root: str, path: str) -> str:
    try:
        with open(_below(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _reader(root: str, directory: str):
    return lambda name: _read(root, f"{directory}/{name}")


def _smallest(values):
    return min((value for value in values if value is not None), default=None)
