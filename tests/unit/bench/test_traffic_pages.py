"""The benchmark pages report the counts, and their drawing is well-formed XML."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from traffic import catalogue
from traffic.broken import BROKEN
from traffic.counting import QUIET, WARM_UP, Figures, bucket
from traffic.session import Result

from bench.traffic.pages import kinds, losses, render, totals
from bench.traffic.timeline import Track, drawing


def result(name, site="ours", milliseconds=1.0, **figures):
    figures = Figures(requests=100, latencies={bucket(milliseconds): 100}, course=[[milliseconds, 0]], **figures)
    texts = {"output": "one\ntwo\nthree\nfour\nfive", "before": "a", "after": "a"}
    return Result(site, name, 1, figures, 20, at=0, **texts)


RESULTS = [
    *(result(name, site) for name in (WARM_UP, QUIET) for site in ("ours", "stock")),
    *(result(name, milliseconds=3.0) for name in catalogue.LOSSLESS * 2),
    result("reload of the stock recipe", "stock", lost_post=7),
]


def test_totals():
    requests = 100 * (2 + 2 * len(catalogue.LOSSLESS))
    assert totals(RESULTS).splitlines() == [
        f"ours: 0 of {requests:,} requests lost in {2 * len(catalogue.LOSSLESS)} disturbances",
        "stock: 7 of 300 requests lost in 1 disturbances",
    ]
    assert losses(RESULTS) == 0
    assert losses([*RESULTS, result("reload", lost_get=1)]) == 1


def test_each_disturbance_has_one_row_with_all_its_rounds():
    rows = kinds(RESULTS, "ours")
    assert [kind.name for kind in rows] == [QUIET, *catalogue.LOSSLESS]
    assert {kind.requests for kind in rows} == {100, 200}


def test_pages():
    pages = render(RESULTS, {"nginx": "1.26"})
    assert "| reload of the stock recipe | 1 | 100 | **7** | 7 |" in pages["README.md"]
    assert "3.0 times that of the quiet periods" in pages["README.md"]
    assert "| nginx | 1.26 |" in pages["README.md"]
    assert pages["broken-releases.md"].count("```\none\ntwo\nthree\nfour\n```") == len(BROKEN)


@pytest.mark.parametrize("courses", [[], [[[3.0, 0], [0, 0], [1500.0, 2]], [[20_000.0, 1]]]])
def test_drawing_marks_every_slice_with_lost_requests(courses):
    root = ElementTree.fromstring(drawing([Track("a < b & c", courses)]))
    lines = [element for element in root.iter() if element.get("class") == "lost"]
    assert len(lines) == sum(lost > 0 for course in courses for _worst, lost in course)
