"""The worker plan, by table and by property."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import cpu_count, worker_plan
from hypothesis import given
from hypothesis import strategies as st


def facts(cpus=4, memory=8192):
    return {"processor_nproc": cpus, "memtotal_mb": memory}


@pytest.mark.parametrize(
    ("cpus", "memory", "options", "workers", "reason"),
    [
        (1, 1024, {}, 2, "2 = 1 CPUs + 1"),
        (4, 8192, {}, 5, "5 = 4 CPUs + 1"),
        (64, 8192, {}, 65, "65 = 64 CPUs + 1"),
        (4, 8192, {"kind": "sync"}, 9, "9 = 2 x 4 CPUs + 1"),
        (1, 1024, {"kind": "sync"}, 3, "3 = 2 x 1 CPUs + 1"),
        (4, 8192, {"worker_memory": 128}, 5, "5 = 4 CPUs + 1; memory would allow 32"),
        (8, 1024, {"worker_memory": 128}, 4, "4 = memory for 4 (8 CPUs + 1 would be 9); memory would allow 4"),
        (8, 1024, {"worker_memory": 128, "reserved_memory": 512}, 2, "2 = memory for 2"),
        (8, 512, {"worker_memory": 512, "minimum": 2}, 2, "2 = the minimum (memory for 0"),
        (1, 1024, {"minimum": 3}, 3, "3 = the minimum (1 CPUs + 1 would be 2)"),
        (32, 65536, {"maximum": 8}, 8, "8 = the maximum (32 CPUs + 1 would be 33)"),
        (2, 4096, {"workers": 7}, 7, "7 = set explicitly"),
        (2, 256, {"workers": "7", "worker_memory": 512, "maximum": 3}, 7, "7 = set explicitly"),
    ],
)
def test_plans(cpus, memory, options, workers, reason):
    plan = worker_plan(facts(cpus, memory), **options)

    assert plan.workers == workers
    assert plan.reason.startswith(reason)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": "many"}, "must be 'auto' or a number"),
        ({"workers": True}, "must be 'auto' or a number"),
        ({"workers": 1.5}, "must be 'auto' or a number"),
        ({"workers": 0}, "at least one worker"),
        ({"workers": "-2"}, "must be 'auto' or a number"),
        ({"kind": "gevent"}, "one of async, sync"),
        ({"minimum": 0}, "at least one worker"),
        ({"minimum": 4, "maximum": 3}, "less than the minimum"),
        ({"worker_memory": 0}, "at least 1 MiB"),
    ],
)
def test_values_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        worker_plan(facts(), **options)


@pytest.mark.parametrize(
    ("given_facts", "cpus"),
    [
        ({"processor_nproc": 2, "processor_vcpus": 8, "processor_count": 1}, 2),  # the affinity counts
        ({"processor_vcpus": 8, "processor_count": 1}, 8),
        ({"processor_count": 1}, 1),
    ],
)
def test_which_fact_counts(given_facts, cpus):
    assert cpu_count(given_facts) == cpus


def test_without_facts_nothing_is_guessed():
    with pytest.raises(ValueError, match="gather the subset 'hardware'"):
        worker_plan({})
    with pytest.raises(ValueError, match="memtotal_mb"):
        worker_plan({"processor_nproc": 2}, worker_memory=64)


MACHINES = {
    "cpus": st.integers(1, 512),
    "memory": st.integers(128, 1 << 20),
    "worker_memory": st.integers(16, 4096),
    "minimum": st.integers(1, 8),
    "kind": st.sampled_from(["async", "sync"]),
}


@given(**MACHINES)
def test_bounds(cpus, memory, worker_memory, minimum, kind):
    plan = worker_plan(facts(cpus, memory), kind=kind, minimum=minimum, worker_memory=worker_memory)

    assert plan.workers >= minimum
    assert plan.workers == minimum or 2 * plan.workers * worker_memory <= memory


@given(**MACHINES)
def test_a_larger_machine_never_gets_fewer_workers(cpus, memory, worker_memory, minimum, kind):
    def workers(cpus, memory):
        return worker_plan(facts(cpus, memory), kind=kind, minimum=minimum, worker_memory=worker_memory).workers

    assert workers(cpus, memory) <= workers(cpus + 1, memory)
    assert workers(cpus, memory) <= workers(cpus, memory + 512)
