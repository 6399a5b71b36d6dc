"""Which numbers of workers are measured, and what is recommended: by table and by property."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils.tuning import (
    P99_FACTOR,
    TOLERANCE,
    candidates,
    choose,
    points,
    recommend,
    snippet,
    table,
    worker_counts,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import as_dict, worker_plan
from hypothesis import given
from hypothesis import strategies as st

CPU = {"app": 1.2, "nginx": 0.3, "load": 0.3, "machine": 1.9}


def measurement(workers, throughput=1000.0, p99=20.0, number=0, **changes):
    usual = {
        "round": number,
        "workers": workers,
        "throughput": throughput,
        "p50_ms": 5.0,
        "p99_ms": p99,
        "errors": {},
        "cpu": CPU,
        "worker_mb": 40,
        "slot_mb": 15 + 40 * workers,
    }
    return {**usual, **changes}


def measured(*pairs):
    """Return the points of (workers, throughput, p99 or nothing) in one round."""
    return points([measurement(*each) for each in pairs])


def result(connections=64, rounds=1, keepalive=32):
    return {
        "load": {"connections": connections, "rounds": rounds, "keepalive": keepalive},
        "machine": {"cpus": 2, "memory_mb": 2048},
    }


def plan(cpus=2, memory=2048, workers="auto", worker_memory=128, **options):
    facts = {"processor_nproc": cpus, "memtotal_mb": memory}
    return as_dict(worker_plan(facts, workers, worker_memory=worker_memory, **options))


# ---- candidates


@pytest.mark.parametrize(
    ("auto", "present", "options", "expected"),
    [
        (plan(1, 2048), 2, {}, [1, 2, 3]),
        (plan(2, 2048), 3, {}, [1, 2, 3, 4, 5]),
        (plan(4, 8192), 5, {}, [1, 2, 4, 5, 8, 9]),
        (plan(4, 8192), 6, {}, [1, 2, 4, 5, 6, 8, 9]),
        # memory for three in each of two slots, so none of more; but what runs now is measured in any case
        (plan(4, 1024), 3, {}, [1, 2, 3]),
        (plan(4, 1024), 6, {}, [1, 2, 6]),
        # no memory at all: as many as run at least
        (plan(1, 256, minimum=2), 2, {"minimum": 2}, [1, 2]),
        (plan(8, 65536), 9, {"maximum": 8}, [1, 4, 8, 9]),
        (plan(2, 2048), 3, {"wanted": [7, 2, 7]}, [2, 7]),
    ],
)
def test_candidates(auto, present, options, expected):
    assert candidates(auto, present, **options) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wanted": [2, 40]}, ["40", "asgi_tune_workers", "more than the 3 that memory allows", "1024 MiB"]),
        ({"wanted": [1], "minimum": 2}, ["at least 2", "asgi_server_workers_min"]),
    ],
)
def test_candidates_that_are_refused(options, words):
    with pytest.raises(ValueError) as raised:
        candidates(plan(4, 1024), 3, **options)
    assert [word for word in words if word not in str(raised.value)] == []


@given(
    cpus=st.integers(1, 256),
    memory=st.integers(64, 1 << 20),
    minimum=st.integers(1, 4),
    maximum=st.none() | st.integers(4, 64),
)
def test_candidates_are_those_that_may_be_run(cpus, memory, minimum, maximum):
    auto = plan(cpus, memory, minimum=minimum, maximum=maximum)
    found = candidates(auto, auto["workers"], minimum=minimum, maximum=maximum)

    assert found == sorted(set(found))
    assert auto["workers"] in found
    assert all(1 <= number <= max(auto["by_memory"], minimum) for number in found)
    assert maximum is None or max(found) <= maximum
    assert len(found) <= 7


@pytest.mark.parametrize(("value", "counts"), [("1,2", [1, 2]), ("3", [3]), (3, [3]), ([1, "4"], [1, 4])])
def test_worker_counts(value, counts):
    assert worker_counts(value) == counts


@pytest.mark.parametrize("value", ["1,x", "0", [0], "", [True], -1, {"1": 2}, "1,,2", 1.5])
def test_no_worker_counts(value):
    with pytest.raises(ValueError):
        worker_counts(value)


# ---- the decision


@pytest.mark.parametrize(
    ("pairs", "minimum", "chosen", "best"),
    [
        # more is better
        ([(1, 500), (2, 1000), (3, 1100)], 1, 3, 3),
        # a plateau: the first that is on it
        ([(1, 500), (2, 980), (3, 1000), (5, 990)], 1, 2, 3),
        # all the same, as where requests only wait
        ([(1, 1000), (2, 1001), (3, 1002)], 1, 1, 3),
        # fewer is better: one worker, or as few as may be run
        ([(1, 1200), (2, 1000), (3, 900)], 1, 1, 1),
        ([(1, 1200), (2, 1000), (3, 900)], 2, 2, 2),
        # near in throughput, and much slower at the 99th percentile
        ([(1, 990, 80), (2, 1000, 20)], 1, 2, 2),
        ([(1, 990, 29), (2, 1000, 20)], 1, 1, 2),
        # exactly 3 % less is near enough
        ([(1, 970), (2, 1000)], 1, 1, 2),
        ([(1, 969), (2, 1000)], 1, 2, 2),
    ],
)
def test_choice(pairs, minimum, chosen, best):
    found = choose(measured(*pairs), minimum)

    assert [point.workers for point in found] == [chosen, best]


def test_the_median_of_the_rounds_counts():
    rounds = [measurement(1, value) for value in (900, 910, 2000)] + [
        measurement(2, value) for value in (100, 1000, 1001)
    ]

    assert [point.throughput for point in points(rounds)] == [910, 1000]
    assert choose(points(rounds))[0].workers == 2


def test_what_fails_requests_is_not_recommended():
    found = points([measurement(1), measurement(2, 5000, errors={"status": 3}), measurement(3, 1500)])

    assert choose(found)[0].workers == 3
    with pytest.raises(ValueError, match="requests failed"):
        choose(points([measurement(1, errors={"timeout": 1})]))
    with pytest.raises(ValueError, match="requests failed"):
        choose(found[:2], minimum=2)


a_point = st.builds(
    lambda workers, throughput, p99, errors: measurement(workers, throughput, p99, errors=errors),
    st.integers(1, 300),
    st.floats(1, 1e6),
    st.floats(0.1, 1e4),
    st.sampled_from([{}, {}, {}, {"read": 1}]),
)
some_points = st.lists(a_point, min_size=1, max_size=8, unique_by=lambda each: each["workers"]).map(points)


@given(some_points, st.integers(1, 4))
def test_the_choice_is_the_fewest_that_is_near_the_best(measured, minimum):
    good = [point for point in measured if not point.errors and point.workers >= minimum]
    if not good:
        with pytest.raises(ValueError):
            choose(measured, minimum)
        return
    chosen, best = choose(measured, minimum)

    assert chosen in good
    assert best.throughput == max(point.throughput for point in good)
    assert chosen.throughput >= best.throughput * (1 - TOLERANCE)
    assert chosen.p99_ms <= best.p99_ms * P99_FACTOR
    assert chosen.workers <= best.workers or chosen.throughput < best.throughput
    for fewer in good:
        if fewer.workers < chosen.workers:
            assert fewer.throughput < best.throughput * (1 - TOLERANCE) or fewer.p99_ms > best.p99_ms * P99_FACTOR


@given(some_points.filter(lambda found: any(not point.errors for point in found)), st.randoms())
def test_the_choice_does_not_depend_on_the_order(measured, random):
    shuffled = list(measured)
    random.shuffle(shuffled)

    assert choose(shuffled) == choose(measured)


# ---- the variables


def test_the_variables_and_their_reasons():
    found = recommend(measured((1, 500), (2, 980), (3, 1000)), result(), plan())

    assert found.variables == {
        "asgi_server_workers": 2,
        # twice 32 + 2 x 40 would be 224; the plan counts 32 + 2 x 128
        "asgi_server_memory_max": "320M",
        "asgi_proxy_upstream_keepalive": 64,
    }
    assert found.reasons.keys() >= found.variables.keys()
    assert (
        found.reason
        == "980 requests/s, 2.0% less than the most (1000 with 3), and the fewest workers that come so near"
    )
    assert found.notes == ()


def test_large_workers_change_what_is_counted():
    large = points([measurement(2, worker_mb=300), measurement(3, 2000, worker_mb=310)])

    found = recommend(large, result(connections=10), plan())

    assert found.variables["asgi_server_worker_memory"] == 416
    assert found.variables["asgi_server_memory_max"] == "1984M"  # 2 x (32 + 3 x 310) = 1924
    assert found.variables["asgi_proxy_upstream_keepalive"] == 32  # as it was: no fewer


@given(some_points.filter(lambda found: any(not point.errors for point in found)), st.integers(1, 1000))
def test_the_plan_has_room_in_the_limit_that_is_recommended(measured, connections):
    found = recommend(measured, result(connections), plan())

    limit = int(found.variables["asgi_server_memory_max"].rstrip("M"))
    worker_memory = found.variables.get("asgi_server_worker_memory", 128)
    roomy = plan(256, 1 << 22, worker_memory=worker_memory, memory_max=f"{limit}M")
    assert roomy["by_memory"] >= found.workers
    assert limit >= 2 * found.workers * 40
    assert found.variables["asgi_proxy_upstream_keepalive"] >= connections


def test_notes_say_what_the_figures_are_worth():
    busy = {**CPU, "machine": 2.0, "app": 0.5}
    rounds = [measurement(1, 1000, number=0), measurement(1, 1500, number=1)]
    rounds += [measurement(2, 2000, number=number, cpu=busy) for number in (0, 1)]
    rounds += [measurement(3, 2500, number=number, errors={"status": 1}) for number in (0, 1)]

    found = recommend(points(rounds), result(rounds=3), plan(), minimum=2)

    said = "\n".join(found.notes)
    assert "2 of 3 rounds" in said
    assert "differ by up to 40%" in said
    assert "0.9 of the 2 CPUs" in said
    assert "requests failed with 3 workers" in said
    assert "asgi_server_workers_min is 2, so 1 worker could" in said


def test_the_most_workers_of_all_may_not_be_enough():
    assert "try more" in "".join(recommend(measured((1, 500), (2, 1000)), result(), plan()).notes)


def test_snippet_is_yaml_with_reasons():
    found = recommend(measured((1, 500), (2, 980), (3, 1000)), result(), plan())

    text = snippet(found, ["measured for shop"])

    assert yaml.safe_load(text) == found.variables
    assert text.startswith("---\n# measured for shop\n")
    assert f"# {found.reason}\nasgi_server_workers: 2\n" in text


def test_table_marks_the_recommendation():
    points_ = measured((1, 500), (2, 980), (3, 1000))

    lines = table(points_, recommend(points_, result(), plan())).splitlines()

    assert [line.split()[0] for line in lines if line.endswith("<- this")] == ["2"]
