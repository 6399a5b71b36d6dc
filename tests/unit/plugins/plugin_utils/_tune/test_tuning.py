"""The numbers of workers to measure and the recommendation: tables of measurements, and properties that hold for all of them."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import as_dict, worker_plan
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import (
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
    """Return the points of one round; each of *pairs* is the number of workers, the throughput and optionally p99."""
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
        # memory allows three workers in each of two slots; the present number is measured in any case
        (plan(4, 1024), 3, {}, [1, 2, 3]),
        (plan(4, 1024), 6, {}, [1, 2, 6]),
        # memory for fewer workers than the minimum
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
        ({"wanted": [2, 40]}, ["40", "asgi_tune_workers", "memory allows at most 3", "1024 MiB"]),
        ({"wanted": [1], "minimum": 2}, ["at least 2", "asgi_server_workers_min"]),
    ],
)
def test_rejected_candidates(options, words):
    with pytest.raises(ValueError) as raised:
        candidates(plan(4, 1024), 3, **options)
    assert [word for word in words if word not in str(raised.value)] == []


@given(
    cpus=st.integers(1, 256),
    memory=st.integers(64, 1 << 20),
    minimum=st.integers(1, 4),
    maximum=st.none() | st.integers(4, 64),
)
def test_candidates_are_within_the_limits(cpus, memory, minimum, maximum):
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
def test_invalid_worker_counts(value):
    with pytest.raises(ValueError):
        worker_counts(value)


# ---- the decision


@pytest.mark.parametrize(
    ("pairs", "minimum", "chosen", "best"),
    [
        # more workers are better
        ([(1, 500), (2, 1000), (3, 1100)], 1, 3, 3),
        # the smallest number on a plateau
        ([(1, 500), (2, 980), (3, 1000), (5, 990)], 1, 2, 3),
        # equal throughput, as with requests that only wait
        ([(1, 1000), (2, 1001), (3, 1002)], 1, 1, 3),
        # fewer workers are better: one, or the configured minimum
        ([(1, 1200), (2, 1000), (3, 900)], 1, 1, 1),
        ([(1, 1200), (2, 1000), (3, 900)], 2, 2, 2),
        # similar throughput, but a much slower 99th percentile
        ([(1, 990, 80), (2, 1000, 20)], 1, 2, 2),
        ([(1, 990, 29), (2, 1000, 20)], 1, 1, 2),
        # exactly 3 % less throughput is still acceptable
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


def test_workers_with_failed_requests_are_not_recommended():
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
def test_the_choice_is_the_smallest_number_close_to_the_best(measured, minimum):
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
        # measured workers need 2 x (32 + 2 x 40) = 224 MiB; the plan's workers need 32 + 2 x 128 = 288 MiB
        "asgi_server_memory_max": "320M",
        "asgi_proxy_upstream_keepalive": 64,
    }
    assert found.reasons.keys() >= found.variables.keys()
    assert (
        found.reason
        == "980 requests/s, 2.0% less than the best throughput (1000 with 3), with the smallest number of workers that comes close"
    )
    assert found.notes == ()


def test_large_workers_change_the_worker_plan():
    large = points([measurement(2, worker_mb=300), measurement(3, 2000, worker_mb=310)])

    found = recommend(large, result(connections=10), plan())

    assert found.variables["asgi_server_worker_memory"] == 416
    assert found.variables["asgi_server_memory_max"] == "1984M"  # 2 x (32 + 3 x 310) = 1924
    assert found.variables["asgi_proxy_upstream_keepalive"] == 32  # never less than the current value


@given(some_points.filter(lambda found: any(not point.errors for point in found)), st.integers(1, 1000))
def test_the_worker_plan_fits_into_the_recommended_limit(measured, connections):
    found = recommend(measured, result(connections), plan())

    limit = int(found.variables["asgi_server_memory_max"].rstrip("M"))
    worker_memory = found.variables.get("asgi_server_worker_memory", 128)
    roomy = plan(256, 1 << 22, worker_memory=worker_memory, memory_max=f"{limit}M")
    assert roomy["by_memory"] >= found.workers
    assert limit >= 2 * found.workers * 40
    assert found.variables["asgi_proxy_upstream_keepalive"] >= connections


def test_notes():
    busy = {**CPU, "machine": 2.0, "app": 0.5}
    rounds = [measurement(1, 1000, number=0), measurement(1, 1500, number=1)]
    rounds += [measurement(2, 2000, number=number, cpu=busy) for number in (0, 1)]
    rounds += [measurement(3, 2500, number=number, errors={"status": 1}) for number in (0, 1)]

    found = recommend(points(rounds), result(rounds=3), plan(), minimum=2)

    notes = "\n".join(found.notes)
    assert "2 of 3 rounds" in notes
    assert "differ by up to 40%" in notes
    assert "0.9 of the 2 CPUs" in notes
    assert "requests failed with 3 workers" in notes
    assert "asgi_server_workers_min is 2, so 1 worker could" in notes


def test_the_largest_candidate_causes_a_note():
    assert "measure larger numbers" in "".join(recommend(measured((1, 500), (2, 1000)), result(), plan()).notes)


def rounds(*throughputs_of_two, **changes):
    """Return the points of several rounds: two workers have these throughputs, one and three workers have steady ones."""
    steady = [
        measurement(workers, 500 * workers, number=number)
        for workers in (1, 3)
        for number in range(len(throughputs_of_two))
    ]
    return points([*steady, *(measurement(2, each, number=n, **changes) for n, each in enumerate(throughputs_of_two))])


@pytest.mark.parametrize(
    ("throughputs", "disagree"),
    [
        ((1000, 1000, 1500), True),  # one round is 50 % faster
        ((1000, 1201, 1000), True),
        ((1000, 1200, 1000), False),
        ((700, 1000, 1000), True),
        ((1000, 1000, 1000), False),
        ((1000,), False),
    ],
)
def test_the_recommendation_is_uncertain_when_the_rounds_disagree(throughputs, disagree):
    measured = rounds(*throughputs)

    found = recommend(measured, result(rounds=len(throughputs)), plan())

    assert bool(found.uncertain) is disagree
    assert ("UNCERTAIN: " in table(measured, found)) is disagree
    assert ("(uncertain) = " in table(measured, found)) is disagree
    text = snippet(found, ["measured for shop"])
    assert ("# UNCERTAIN: " in text) is disagree
    assert yaml.safe_load(text) == found.variables


def test_an_uncertain_recommendation_contains_reason_and_remedy():
    found = recommend(rounds(1000, 1000, 1500), result(rounds=3), plan())

    assert "with 2 workers they ranged from 1000 to 1500 requests/s, 50% of the median" in found.uncertain
    assert "Do not use this result: repeat the measurement at a quiet time" in found.uncertain
    assert not [note for note in found.notes if "rounds" in note], "once is enough"


@pytest.mark.parametrize(("minimum", "changes"), [(3, {}), (1, {"errors": {"status": 1}})])
def test_disagreeing_rounds_of_other_candidates_cause_a_note(minimum, changes):
    found = recommend(rounds(1000, 1000, 1500, **changes), result(rounds=3), plan(), minimum=minimum)

    assert found.uncertain == ""
    assert "differ by up to 50%" in "".join(found.notes)


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
