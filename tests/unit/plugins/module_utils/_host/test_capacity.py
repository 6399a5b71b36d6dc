"""CPUs and memory of a host, with both versions of control groups, inside and outside of a container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import (
    capacity,
    cgroup_directories,
    cpu_list,
    cpu_quota,
    memory_limit,
)

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNTS = """\
35 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
36 32 0:31 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory
37 32 0:32 / /sys/fs/cgroup/pids rw shared:11 - cgroup cgroup rw,pids
38 32 0:33 / /sys/fs/cgroup/unified rw shared:12 - cgroup2 cgroup2 rw"""
SLICES = ["system.slice", r"system-my\x2dapp.slice"]


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "shared", "own"),
    [
        (  # a host without containers
            V2_MOUNT,
            "0::/init.scope\n",
            ["/sys/fs/cgroup", "/sys/fs/cgroup/system.slice"],
            [r"/sys/fs/cgroup/system.slice/system-my\x2dapp.slice"],
        ),
        (  # a container without its own control group namespace
            V2_MOUNT,
            "0::/machine/c1/init.scope\n",
            [
                "/sys/fs/cgroup",
                "/sys/fs/cgroup/machine",
                "/sys/fs/cgroup/machine/c1",
                "/sys/fs/cgroup/machine/c1/system.slice",
            ],
            [r"/sys/fs/cgroup/machine/c1/system.slice/system-my\x2dapp.slice"],
        ),
        (  # version 1, in a container whose control group is mounted
            "36 32 0:31 /docker/c1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            "9:memory:/docker/c1\n0::/docker/c1\n",
            ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/system.slice"],
            [r"/sys/fs/cgroup/memory/system.slice/system-my\x2dapp.slice"],
        ),
        ("", "", [], []),
    ],
)
def test_relevant_control_groups(mountinfo, cgroup, shared, own):
    assert cgroup_directories(mountinfo, cgroup, SLICES) == (shared, own)


def test_control_groups_v1():
    shared, own = cgroup_directories(V1_MOUNTS, "2:cpu,cpuacct:/\n4:memory:/\n1:pids:/\n0::/init.scope\n", SLICES)

    assert "/sys/fs/cgroup/cpu,cpuacct" in shared
    assert "/sys/fs/cgroup/memory/system.slice" in shared
    assert not [path for path in shared if "pids" in path]
    assert len(own) == 3


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.cfs_quota_us": "200000\n", "cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cpu_quota(files, quota):
    assert cpu_quota(lambda name: files.get(name, "")) == quota


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1073741824\n", "memory.high": "max\n"}, 1024),
        ({"memory.max": "1073741824\n", "memory.high": "536870912\n"}, 512),
        ({"memory.max": "max\n"}, None),
        ({"memory.limit_in_bytes": "268435456\n"}, 256),
        ({"memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_memory_limit(files, limit):
    assert memory_limit(lambda name: files.get(name, "")) == limit


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,8", {0, 1, 2, 3, 8}), ("0 2 4-5", {0, 2, 4, 5}), ("", set()), ("numa", set())],
)
def test_lists_of_cpus(text, cpus):
    assert cpu_list(text) == cpus


def write(root: Path, files: dict) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def host(tmp_path):
    """A host with control groups v2 and one live app."""
    write(
        tmp_path,
        {
            "proc/1/mountinfo": V2_MOUNT,
            "proc/1/cgroup": "0::/init.scope\n",
            "proc/1/status": "Name:\tsystemd\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n",
            "proc/meminfo": "MemTotal:        8142848 kB\nMemFree: 1 kB\n",
            "srv/shop/configs/c1/plan.json": json.dumps({"workers": 3, "worker_memory": 128, "reason": "3 = x"}),
        },
    )
    (tmp_path / "srv/shop/staged").symlink_to("releases/r1")
    (tmp_path / "srv/shop/slots/blue").mkdir(parents=True)
    (tmp_path / "srv/shop/slots/blue/config").symlink_to("../../configs/c1")
    (tmp_path / "run/shop").mkdir(parents=True)
    (tmp_path / "run/shop/live.sock").symlink_to("blue.sock")
    return tmp_path


def test_host_without_limits(host):
    assert capacity("shop", root=str(host)) == {
        "processor_nproc": 8,
        "memtotal_mb": 7952,
        "cgroup_cpus": None,
        "cgroup_memory_mb": None,
        "cgroup_app_memory_mb": None,
        "apps": [{"name": "shop", "workers": 3, "worker_memory": 128, "reason": "3 = x"}],
    }


def test_limits_of_slices(host):
    write(
        host,
        {
            "sys/fs/cgroup/system.slice/cpu.max": "400000 100000",
            "sys/fs/cgroup/system.slice/memory.max": str(4 << 30),
            "sys/fs/cgroup/system.slice/cpuset.cpus.effective": "0-5\n",
            "sys/fs/cgroup/system.slice/system-shop.slice/cpu.max": "300000 100000",
            "sys/fs/cgroup/system.slice/system-shop.slice/memory.max": str(1 << 30),
        },
    )

    found = capacity("shop", root=str(host))

    assert (found["processor_nproc"], found["cgroup_cpus"]) == (6, 3.0)
    assert (found["cgroup_memory_mb"], found["cgroup_app_memory_mb"]) == (4096, 1024)
    # the slice of shop does not limit another app
    assert capacity("tiles", root=str(host))["cgroup_app_memory_mb"] is None


@pytest.mark.parametrize("text", [None, "", "[", "[]"])
def test_an_app_without_a_readable_plan(host, text):
    plan = host / "srv/shop/configs/c1/plan.json"
    plan.unlink() if text is None else plan.write_text(text)

    assert capacity("shop", root=str(host))["apps"][0]["workers"] is None


def test_foreign_directories_are_ignored(host):
    (host / "srv/ftp").mkdir()
    (host / "srv/Upper").mkdir()
    (host / "srv/Upper/staged").symlink_to("x")

    assert [app["name"] for app in capacity("shop", root=str(host))["apps"]] == ["shop"]


def test_missing_files_yield_no_facts(tmp_path):
    found = capacity("shop", root=str(tmp_path))

    assert found.pop("apps") == []
    assert set(found.values()) == {None}
