"""The counts of the traffic harness: if they were wrong, a result without losses would prove nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traffic.counting import BUCKET_GROWTH, QUIET, Events, Request, Window, bucket, count, pooled, quantile

WINDOW = Window("deploy", began=10, done=20, ended=25, before="old", after="new")


def request(ident="a", method="GET", began=12.0, ended=12.1, delay=0.0, fault="", serving="old"):
    return Request(ident, method, began, ended, delay, fault, serving)


def counted(*requests, executed=None, window=WINDOW):
    """Return the figures of the window. By default, the app executed every answered request."""
    done = {r.id: 1 for r in requests if not r.fault} if executed is None else executed
    return count([window], Events(requests=list(requests)), done)[0]


# The requests, the number of executions by id, and the figures that are not zero.
CASES = {
    "answered": ([request()], {"a": 1}, {}),
    "502 for a GET": ([request(fault="HTTP 502")], {}, {"lost_get": 1}),
    "502 for a POST": ([request(method="POST", fault="HTTP 502")], {}, {"lost_post": 1}),
    "cut, but executed": ([request(fault="ConnectionResetError")], {"a": 1}, {"lost_get": 1, "executed_but_failed": 1}),
    "answered, not executed": ([request()], {}, {"answered_but_not_executed": 1}),
    "executed twice": ([request()], {"a": 2}, {"duplicates": 1}),
    "stalled": ([request(began=12, ended=13.1)], {"a": 1}, {"stalls": 1}),
    "long because of its delay": ([request(began=12, ended=14.9, delay=2)], {"a": 1}, {}),
    "new release during the deploy": ([request(serving="new")], {"a": 1}, {}),
    "old release after the deploy": ([request(began=21, ended=21.1)], {"a": 1}, {"wrong_release": 1}),
    "old release, sent before the end of the deploy": ([request(began=19.9, ended=20.4)], {"a": 1}, {}),
    "unknown release": ([request(serving="other")], {"a": 1}, {"wrong_release": 1}),
    "lost without a release": ([request(fault="HTTP 502", serving="")], {}, {"lost_get": 1}),
}
COUNTS = "lost_get lost_post executed_but_failed answered_but_not_executed duplicates stalls wrong_release inconsistent lost".split()


@pytest.mark.parametrize(("requests", "executed", "expected"), CASES.values(), ids=CASES)
def test_one_request(requests, executed, expected):
    figures = counted(*requests, executed=executed)
    inconsistent = sum(expected.get(name, 0) for name in COUNTS[2:5])
    lost = sum(expected.get(name, 0) for name in COUNTS[:2])
    wanted = dict.fromkeys(COUNTS, 0) | expected | {"inconsistent": inconsistent, "lost": lost}
    assert {name: getattr(figures, name) for name in COUNTS} == wanted
    assert figures.requests == 1


def test_only_the_old_release_may_answer_during_a_failed_deploy():
    failed = Window("bad", began=10, done=20, ended=25, before="old", after="old")
    figures = counted(request("a"), request("b", serving="bad"), window=failed)
    assert figures.wrong_release == 1


def test_any_answer_is_right_without_a_known_release():
    figures = counted(request(), window=Window("reload", 10, 20, 25))
    assert figures.wrong_release == 0


@pytest.mark.parametrize(
    ("began", "ended", "belongs"),
    [(1, 2, "quiet"), (9.9, 10.4, "deploy"), (9, 31, "second"), (30, 31, "second"), (41, 42, "second")],
)
def test_request_belongs_to_the_window_in_which_it_ended(began, ended, belongs):
    windows = [Window(QUIET, 0, 9, 10), WINDOW, Window("second", 25, 35, 40)]
    figures = count(windows, Events(requests=[request(began=began, ended=ended, fault="HTTP 502")]), {})
    assert [f.lost for f in figures] == [int(belongs == window.name) for window in windows]


def test_course_of_a_disturbance():
    window = Window("deploy", began=10, done=10.5, ended=11)
    requests = [
        request("a", began=9.9, ended=10.1),
        request("b", began=10.1, ended=10.13),
        request("c", began=10.6, ended=10.7, fault="HTTP 502"),
        request("d", began=10.9, ended=12),
    ]
    assert counted(*requests, window=window).course == [[200, 0], [0, 0], [100, 1], [0, 0], [1100, 0]]


def test_faults_are_counted_by_kind():
    faults = ["HTTP 502", "HTTP 502", "ConnectionResetError"]
    figures = counted(*(request(str(number), fault=fault) for number, fault in enumerate(faults)))
    assert figures.faults == {"HTTP 502": 2, "ConnectionResetError": 1}


def test_websockets_and_streams():
    events = Events(
        requests=[request("a", began=14, ended=14.1, serving="old"), request("b", began=15, ended=15.1, serving="new")],
        echoes=[
            {"at": at, "serving": serving}
            for at, serving in [(9, "old"), (15, "old"), (16, "old"), (17, "old"), (18, "new"), (30, "old")]
        ],
        websockets=[
            {"ended": 9, "code": 1006, "fault": ""},
            {"ended": 19, "code": 1012, "fault": ""},
            {"ended": 20, "code": None, "fault": "InvalidStatus"},
        ],
        streams=[
            {"ended": 19, "whole": True, "ended_well": True},
            {"ended": 19, "whole": True, "ended_well": False},
            {"ended": 19, "whole": False, "ended_well": False},
            {"ended": 5, "whole": False, "ended_well": False},
        ],
    )
    (figures,) = count([WINDOW], events, {"a": 1, "b": 1})
    assert figures.closed == {"1012": 1, "InvalidStatus": 1}
    assert figures.echoes_after_flip == 2
    assert (figures.streams, figures.streams_cut, figures.streams_incomplete) == (3, 1, 2)


@given(
    requests=st.lists(
        st.builds(
            request,
            st.uuids().map(str),
            st.sampled_from(["GET", "POST"]),
            began=st.floats(0, 50),
            ended=st.floats(50, 100),
            fault=st.sampled_from(["", "HTTP 502", "EOFError"]),
        )
    ),
    begins=st.lists(st.floats(0, 100), min_size=1).map(sorted),
)
def test_every_request_is_counted_once(requests, begins):
    figures = count([Window("x", began, began, began) for began in begins], Events(requests), {})
    assert sum(f.requests for f in figures) == len(requests)
    assert sum(f.lost for f in figures) == sum(bool(r.fault) for r in requests)


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([], 0.5, 0), ([3], 0.999, 3), ([1, 2, 3, 4], 0.5, 3), (range(1000), 0.999, 999)]
)
def test_quantile(values, share, expected):
    assert quantile(values, share) == expected


@given(st.lists(st.floats(0.1, 60_000), min_size=1), st.sampled_from([0.5, 0.99, 0.999, 1]))
def test_pooled_quantiles_equal_those_of_all_requests(values, share):
    tallies = [Counter(map(bucket, values[:3])), Counter(map(bucket, values[3:]))]
    # The tolerance is half a bucket, and both values are rounded to a tenth.
    assert pooled(tallies, share) == pytest.approx(quantile(values, share), rel=BUCKET_GROWTH - 1, abs=0.2)


def test_pooled_quantile_of_no_requests():
    assert pooled([{}, {}], 0.5) == 0
