"""The worker plan: tables of machines, and properties that hold for all machines."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import cpu_count, worker_plan
from hypothesis import given
from hypothesis import strategies as st


def facts(cpus=4, memory=8192, **others):
    return {"processor_nproc": cpus, "memtotal_mb": memory, **others}


def plan_of(cpus=4, memory=8192, others=None, **options):
    return worker_plan(facts(cpus, memory, **(others or {})), **options)


@pytest.mark.parametrize(
    ("cpus", "memory", "options", "reason"),
    [
        (1, 1024, {}, "2 = 1 CPU + 1"),
        (4, 8192, {}, "5 = 4 CPUs + 1"),
        (64, 8192, {}, "65 = 64 CPUs + 1"),
        (4, 8192, {"kind": "sync"}, "9 = 2 x 4 CPUs + 1"),
        (4, 8192, {"kind": "threads"}, "5 = 4 CPUs + 1"),
        # 8192 MiB, two masters of 32 MiB and two slots
        (4, 8192, {"worker_memory": 128}, "5 = 4 CPUs + 1; memory would allow 31"),
        (4, 8192, {"worker_memory": "128"}, "5 = 4 CPUs + 1; memory would allow 31"),
        (
            8,
            1024,
            {"worker_memory": 128},
            "3 = what memory allows (1024 MiB, 128 MiB a worker in two slots); 8 CPUs + 1 would be 9",
        ),
        (
            8,
            1024,
            {"worker_memory": 128, "reserved_memory": 256},
            "2 = what memory allows (1024 MiB less 256 for the system, 128 MiB a worker in two slots); 8 CPUs + 1 would be 9",
        ),
        (
            8,
            1024,
            {"worker_memory": 128, "processes": {"worker": {"instances": 2, "exclusive": False, "memory_max": "100M"}}},
            "2 = what memory allows (1024 MiB, less 400 for processes, 128 MiB a worker in two slots); 8 CPUs + 1 would be 9",
        ),
        (
            8,
            512,
            {"worker_memory": 512, "minimum": 2},
            "2 = the minimum; 8 CPUs + 1 would be 9; memory would allow 0",
        ),
        (1, 1024, {"minimum": 3}, "3 = the minimum; 1 CPU + 1 would be 2"),
        (32, 65536, {"maximum": 8}, "8 = the maximum; 32 CPUs + 1 would be 33"),
        (2, 4096, {"workers": 7}, "7 = set explicitly"),
        (2, 256, {"workers": "7", "worker_memory": 512, "maximum": 3}, "7 = set explicitly"),
    ],
)
def test_plans(cpus, memory, options, reason):
    plan = plan_of(cpus, memory, **options)

    assert plan.reason == reason
    assert plan.workers == int(reason.split()[0])


@pytest.mark.parametrize(
    ("others", "options", "reason"),
    [
        ({"cgroup_cpus": 2.0}, {}, "3 = 2 of 8 CPUs (a control group's limit of 2) + 1"),
        ({"cgroup_cpus": 1.5}, {"kind": "sync"}, "5 = 2 x 2 of 8 CPUs (a control group's limit of 1.5) + 1"),
        ({"cgroup_cpus": 16.0}, {}, "9 = 8 CPUs + 1"),
        ({}, {"cpu_quota": "150%"}, "3 = 2 of 8 CPUs (CPUQuota=150%) + 1"),
        ({}, {"cpu_quota": "50"}, "2 = 1 of 8 CPUs (CPUQuota=50%) + 1"),
        ({"cgroup_cpus": 2.0}, {"cpu_quota": "100%"}, "2 = 1 of 8 CPUs (CPUQuota=100%) + 1"),
        ({}, {"cpu_quota": "300%", "unit_settings": {"CPUQuota": "100%"}}, "2 = 1 of 8 CPUs (CPUQuota=100%) + 1"),
        ({}, {"unit_settings": {"CPUAffinity": "0-2 6"}}, "5 = 4 of 8 CPUs (CPUAffinity=0-2 6) + 1"),
        ({}, {"unit_settings": {"AllowedCPUs": ["0", "1"]}}, "3 = 2 of 8 CPUs (AllowedCPUs=0 1) + 1"),
        ({}, {"unit_settings": {"CPUAffinity": "numa"}}, "9 = 8 CPUs + 1"),
    ],
)
def test_cpu_limits(others, options, reason):
    assert plan_of(cpus=8, others=others, **options).reason == reason


@pytest.mark.parametrize(
    ("others", "options", "allowed", "why"),
    [
        ({}, {}, 31, "8192 MiB,"),
        ({"cgroup_memory_mb": 2048}, {}, 7, "2048 MiB,"),
        ({"cgroup_memory_mb": 16384}, {}, 31, "8192 MiB,"),
        ({"cgroup_app_memory_mb": 1024}, {}, 3, "1024 MiB in the app's control group"),
        # the unit's limit applies to each slot separately, with one master
        ({}, {"memory_max": "1G"}, 7, "1024 MiB of the unit's own limit"),
        ({}, {"memory_max": "524288K"}, 3, "512 MiB of the unit's own limit"),
        ({}, {"memory_max": "536870912"}, 3, "512 MiB of the unit's own limit"),
        ({}, {"memory_max": "10%"}, 6, "819 MiB of the unit's own limit"),
        ({}, {"memory_max": "infinity"}, 31, "8192 MiB,"),
        ({}, {"memory_max": "2G", "unit_settings": {"MemoryMax": "512M"}}, 3, "512 MiB of the unit's own limit"),
        ({}, {"memory_max": "2G", "unit_settings": {"MemoryHigh": "1G"}}, 7, "1024 MiB of the unit's own limit"),
        ({}, {"memory_share": 25}, 7, "25 % of 8192 MiB,"),
        ({"apps": [{"name": "me"}]}, {}, 31, "8192 MiB,"),
        ({"apps": [{"name": "me"}, {"name": "a"}, {"name": "b"}]}, {}, 10, "8192 MiB, shared by 3 apps,"),
        ({"apps": [{"name": "a"}]}, {}, 15, "8192 MiB, shared by 2 apps,"),
        ({"apps": [{"name": "a"}]}, {"memory_share": 100}, 31, "100 % of 8192 MiB,"),
    ],
)
def test_memory_limits(others, options, allowed, why):
    plan = plan_of(cpus=64, others=others, worker_memory=128, app="me", **options)

    assert plan.by_memory == plan.workers == allowed
    assert why in plan.reason


@pytest.mark.parametrize(
    ("measured", "remembered", "counted"),
    [
        (None, None, 128),
        (40, None, 128),
        (128, None, 128),
        (129, None, 192),  # a quarter more, rounded up to a multiple of 32
        (300, None, 384),
        (40, 384, 384),  # new workers, which have not grown yet
        (384, 384, 384),
        (385, 384, 512),
    ],
)
def test_plan_keeps_the_measured_memory_of_the_live_configuration(measured, remembered, counted):
    others = {"measured_memory_mb": measured, "apps": [{"name": "me", "worker_memory": remembered}]}

    assert plan_of(others=others, worker_memory="measured", app="me").worker_memory == counted
    # the next run, which remembers this plan, counts the same
    others["apps"][0]["worker_memory"] = counted
    assert plan_of(others=others, worker_memory="measured", app="me").worker_memory == counted


def test_small_differences_of_the_memory_keep_the_plan():
    assert plan_of(cpus=64, memory=7951, worker_memory=128) == plan_of(cpus=64, memory=7940, worker_memory=128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": "many"}, "must be 'auto' or a number"),
        ({"workers": True}, "must be 'auto' or a number"),
        ({"workers": 1.5}, "must be 'auto' or a number"),
        ({"workers": 0}, "at least one worker"),
        ({"workers": "-2"}, "must be 'auto' or a number"),
        ({"kind": "gevent"}, "one of async, single, sync, threads"),
        ({"minimum": 0}, "at least one worker"),
        ({"minimum": 4, "maximum": 3}, "less than the minimum"),
        ({"worker_memory": 0}, "at least 1 MiB"),
        ({"worker_memory": "much"}, "or 'measured'"),
        ({"memory_share": 0}, "percentage"),
        ({"memory_share": 101}, "percentage"),
    ],
)
def test_invalid_values_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        worker_plan(facts(), **options)


@pytest.mark.parametrize(
    ("given_facts", "cpus"),
    [
        ({"processor_nproc": 2, "processor_vcpus": 8, "processor_count": 1}, 2),  # this fact respects the CPU affinity
        ({"processor_vcpus": 8, "processor_count": 1}, 8),
        ({"processor_count": 1}, 1),
    ],
)
def test_preferred_cpu_fact(given_facts, cpus):
    assert cpu_count(given_facts) == cpus


def test_missing_facts_fail():
    with pytest.raises(ValueError, match="gather the subset 'hardware'"):
        worker_plan({})
    with pytest.raises(ValueError, match="memtotal_mb"):
        worker_plan({"processor_nproc": 2}, worker_memory=64)


MACHINES = {
    "cpus": st.integers(1, 512),
    "memory": st.integers(128, 1 << 20),
    "quota": st.none() | st.floats(0.1, 512),
    "limit": st.none() | st.integers(64, 1 << 20),
    "apps": st.integers(0, 5),
}
OPTIONS = {
    "worker_memory": st.integers(16, 4096),
    "reserved_memory": st.integers(0, 4096),
    "minimum": st.integers(1, 8),
    "maximum": st.none() | st.integers(8, 64),
    "kind": st.sampled_from(["async", "sync", "threads"]),
    "memory_max": st.none() | st.sampled_from(["256M", "2G", "50%", "infinity"]),
    "cpu_quota": st.none() | st.sampled_from(["50%", "150%", "6400%"]),
    "memory_share": st.none() | st.integers(1, 100),
}
MACHINE, LIMITS = st.fixed_dictionaries(MACHINES), st.fixed_dictionaries(OPTIONS)


def plan_on(machine, options):
    others = {
        "cgroup_cpus": machine["quota"],
        "cgroup_memory_mb": machine["limit"],
        "apps": [{"name": f"app{number}"} for number in range(machine["apps"])],
    }
    return plan_of(machine["cpus"], machine["memory"], others, app="me", **options)


@given(MACHINE, LIMITS)
def test_bounds(machine, options):
    plan = plan_on(machine, options)

    assert plan.workers >= options["minimum"]
    assert options["maximum"] is None or plan.workers <= options["maximum"]
    assert plan.workers <= max(2 * machine["cpus"] + 1, options["minimum"])
    # both slots fit beside the reserved memory, unless the minimum takes precedence
    available = min(machine["memory"], machine["limit"] or machine["memory"]) - options["reserved_memory"]
    assert plan.workers == options["minimum"] or 2 * plan.workers * options["worker_memory"] <= available
    assert plan.workers == options["minimum"] or plan.workers <= plan.by_memory


@given(MACHINE, LIMITS, st.integers(1, 64), st.integers(1, 4096))
def test_a_larger_machine_never_gets_fewer_workers(machine, options, cpus, memory):
    workers = plan_on(machine, options).workers

    assert workers <= plan_on({**machine, "cpus": machine["cpus"] + cpus}, options).workers
    assert workers <= plan_on({**machine, "memory": machine["memory"] + memory}, options).workers
    if machine["quota"]:
        assert workers <= plan_on({**machine, "quota": machine["quota"] + cpus / 8}, options).workers
    if machine["limit"]:
        assert workers <= plan_on({**machine, "limit": machine["limit"] + memory}, options).workers


@given(MACHINE, LIMITS)
def test_additional_app_never_increases_the_workers(machine, options):
    assert plan_on({**machine, "apps": machine["apps"] + 1}, options).workers <= plan_on(machine, options).workers


@given(MACHINE, LIMITS)
def test_reason_starts_with_the_number_and_is_one_line(machine, options):
    plan = plan_on(machine, options)

    assert plan.reason.startswith(f"{plan.workers} = ")
    assert plan.reason.isascii()
    assert plan.reason.isprintable()


@pytest.mark.parametrize("workers", ["auto", 4])
def test_a_server_that_is_a_single_process(workers):
    plan = worker_plan(
        {"processor_nproc": 8, "memtotal_mb": 8192}, workers, kind="single", minimum=2, worker_memory=128
    )
    assert (plan.workers, plan.reason, plan.worker_memory) == (1, "1 = the only process of its server", 128)
