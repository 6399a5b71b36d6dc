"""The page of a measurement is well-formed and self-contained, and shows the measured figures."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import points, recommend
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning_page import Chart, as_page, nice_step, short
from hypothesis import given
from hypothesis import strategies as st

PLAN = {"workers": 3, "worker_memory": 128, "reason": "3 = 2 CPUs + 1; memory would allow 6"}
RESULT = {
    "release": "src-1",
    "load": {
        "tool": "wrk 4.1",
        "method": "GET",
        "path": "/",
        "connections": 64,
        "seconds": 5,
        "warmup": 2,
        "rounds": 2,
        "keepalive": 32,
    },
    "machine": {"cpus": 2, "memory_mb": 2048},
}


def measurement(workers, throughput, p99=20.0, number=0):
    return {
        "round": number,
        "workers": workers,
        "throughput": throughput,
        "p50_ms": p99 / 4,
        "p99_ms": p99,
        "errors": {},
        "cpu": {"app": 1.2, "nginx": 0.3, "load": 0.3, "machine": 1.9},
        "worker_mb": 40,
        "slot_mb": 15 + 40 * workers,
    }


def page(measured, host="web1", app="shop", **changes):
    measured, result = points(measured), {**RESULT, **changes}
    return as_page(measured, recommend(measured, result, PLAN), result, PLAN, host, app, "2026-11-27 02:33 UTC")


USUAL = [
    measurement(count, speed + number, number=number)
    for number in (0, 1)
    for count, speed in ((1, 500), (2, 990), (3, 1000))
]


def svgs(text):
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def test_the_page_is_self_contained():
    text = page(USUAL)

    assert text.startswith("<!doctype html>")
    assert not re.findall(r"(?:src|href)=|url\(|@import|<script", text)
    assert "prefers-color-scheme: dark" in text


def test_the_page_contains_variables_and_reasons():
    text = page(USUAL)

    assert '<div class="number">2<small>workers</small>' in text
    assert "currently 3 = 2 CPUs + 1" in text
    assert "asgi_server_workers: 2" in text
    assert "GET / of release src-1" in text


def test_an_uncertain_headline_is_not_green():
    apart = [*USUAL, measurement(1, 250, number=2), measurement(2, 495, number=2), measurement(3, 500, number=2)]

    text = page(apart)

    assert '<main class="uncertain">' in text
    assert '<div class="number">2?<small>workers, uncertain</small>' in text
    assert "The rounds disagree: with " in text
    assert "<title>shop on web1: 2 workers, uncertain</title>" in text
    # the class gives green elements the colour of a warning
    assert ".uncertain { --good: var(--odd); --good-ground: var(--odd-ground); }" in text


def test_a_certain_headline():
    text = page(USUAL)

    assert "<main>" in text
    assert "ncertain" not in text.partition("</style>")[2]


def test_one_worker_is_singular():
    assert '<div class="number">1<small>worker</small>' in page([measurement(1, 1000), measurement(2, 900)])


def test_four_charts_with_all_numbers_of_workers():
    charts = svgs(page(USUAL))

    assert [chart.find("title").text.split(" over")[0] for chart in charts] == [
        "Throughput",
        "50th and 99th percentile",
        "Memory of a slot",
        "CPUs in use",
    ]
    for chart in charts:
        assert {"1", "2", "3", "workers"} <= {text.text for text in chart.iter("text")}
        [chosen] = [text.text for text in chart.iter("text") if text.get("class") == "name"]
        assert chosen == "2"


def test_rounds_are_dots_and_medians_are_a_line():
    throughput = svgs(page(USUAL))[0]

    assert len([dot for dot in throughput.iter("circle") if "round" in dot.get("class")]) == 6
    assert len(throughput.find("polyline").get("points").split()) == 3


def test_names_are_escaped():
    load = {**RESULT["load"], "path": "/?q=<b>"}

    text = page(USUAL, load=load, release="<i>", host="<script>", app='"&<')

    assert "<script" not in text
    assert "<b>" not in text.replace("</b>", "")
    assert "&lt;script&gt;" in text


@given(st.floats(0.001, 1e7))
def test_steps_are_round_and_few(most):
    step = nice_step(most)

    assert 1 <= most / step <= 4.01
    assert f"{step:.3e}"[0] in "1259"


@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.floats(1, 1e6), st.floats(0.1, 1e4)),
        min_size=1,
        max_size=8,
        unique_by=lambda each: each[0],
    )
)
def test_all_shapes_are_inside_the_chart(triples):
    for chart in svgs(page([measurement(*each) for each in triples])):
        _left, _top, width, height = map(float, chart.get("viewBox").split())
        for each in chart.iter():
            for name, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                assert 0 <= float(each.get(name, 0)) <= most
            assert float(each.get("height", 0)) >= 0


@pytest.mark.parametrize("most", [0, 0.0])
def test_a_chart_without_values_has_an_axis(most):
    measured = points([measurement(1, 1)])
    assert Chart(measured, recommend(measured, RESULT, PLAN), most).y(0) > 0


def test_labels_have_no_exponent():
    assert [short(value) for value in (0.41234, 14.66, 928.2, 3907.8)] == ["0.412", "14.7", "928", "3908"]
