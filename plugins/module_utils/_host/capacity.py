# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs and memory that an app can use on this host, and the apps that share them.

Unlike Ansible's facts, these values reflect the CPU affinity that services inherit, and the limits of control groups, such as those of a
container or of the apps' slices. The limits in the app's own unit are ignored: they come from the inventory, and the unit may still contain
limits that the inventory no longer sets.
"""

from __future__ import annotations

import contextlib
import json
import os
import re

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS, layout, names_with

PLAN_FILE = "plan.json"

MIB = 1024 * 1024
KIB = 1024

# Control groups version 1 represent "no limit" as the largest possible number of pages. Larger values count as unlimited.
UNLIMITED = 1 << 60


def capacity(name: str, root: str = "/") -> dict:
    """Return the facts from which workers of the app *name* are planned, read below *root*.

    ``processor_nproc`` and ``memtotal_mb`` are defined as in Ansible's facts.
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
    """Return the app's *name* as systemd escapes it in the name of the app's slice."""
    return name.replace("-", "\\x2d")


def cgroup_directories(mountinfo: str, cgroup: str, slices: list) -> tuple:
    """Return two lists of control group directories: the groups that limit all services, and those that limit only the app.

    *mountinfo* and *cgroup* are the contents of /proc/1/mountinfo and /proc/1/cgroup, with either version of control groups. *slices*
    contains the name of the slice of all services, and the name of the app's slice in it.
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
    """Return *path* relative to *top*, the root of the mount; "" if *path* is not below *top*."""
    if top == "/":
        return path
    return path[len(top) :] if path == top or path.startswith(f"{top}/") else ""


def cpu_quota(read) -> float | None:
    """Return the CPU limit of a control group, None without a limit. *read* returns the content of a file of the group by name."""
    words = read("cpu.max").split() or [read("cpu.cfs_quota_us").strip(), read("cpu.cfs_period_us").strip()]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or "0" in words:
        return None  # no limit ("max 100000" or -1), or no such file
    return round(int(words[0]) / int(words[1]), 2)


def memory_limit(read) -> int | None:
    """Return the limit in MiB above which the kernel throttles or kills a control group, None without a limit."""
    limits = [read(name).strip() for name in ("memory.high", "memory.max", "memory.limit_in_bytes")]
    return _smallest(int(limit) // MIB for limit in limits if limit.isdecimal() and int(limit) < UNLIMITED)


def memory_total(meminfo: str) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found.group(1)) // KIB if found else None


def cpu_list(text: str) -> set:
    """Parse a CPU list of the kernel or systemd, such as ``0-3,8 10``."""
    cpus: set = set()
    for part in re.findall(r"\d+(?:-\d+)?", text):
        first, _dash, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def _allowed_cpus(root: str, directories: list) -> int | None:
    """Return the number of CPUs that services can use: they inherit those of PID 1, and their slices may restrict them further."""
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", _read(root, "proc/1/status"), re.MULTILINE)
    cpus = cpu_list(found.group(1)) if found else set()
    for path in directories:
        effective = cpu_list(_read(root, f"{path}/cpuset.cpus.effective"))
        cpus = cpus & effective or cpus
    return len(cpus) or None


def apps(root: str = "/") -> list:
    """Return the staged apps of this host, with the worker plans of their live configurations.

    A run stages all its apps before it activates the first one, so each new plan takes all of them into account.
    """
    return [{"name": name, **live_plan(name, root)} for name in names_with("staged", root)]


def live_plan(name: str, root: str = "/") -> dict:
    """Return the worker plan of the live configuration of app *name*: the number of workers, the memory per worker and the reason."""
    paths = layout(name)
    slot = (read_link(_below(root, paths["live_socket"])) or "").replace(".sock", "")
    text = _read(root, f"{paths['slots'][slot]['config']}/{PLAN_FILE}") if slot in SLOTS else ""
    plan = None
    with contextlib.suppress(ValueError):
        plan = json.loads(text)
    return {key: plan.get(key) if isinstance(plan, dict) else None for key in ("workers", "worker_memory", "reason")}


def proportional_memory(pid: int, root: str = "/") -> int | None:
    """Return the memory of process *pid* in MiB, including its share of shared pages; None if unknown."""
    found = re.search(r"^Pss:\s+(\d+) kB$", _read(root, f"proc/{pid}/smaps_rollup"), re.MULTILINE)
    return int(found.group(1)) // KIB if found else None


def measured_memory(workers: set) -> int | None:
    """Return the memory of the largest of the processes *workers* in MiB, None if there is none."""
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
