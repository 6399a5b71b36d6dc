"""The report on the durations of plays."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.plays import Play, Step, report

STAGE = Play("Stage", 6.04, [Step("Check", 0.5), Step("Build", 4.25), Step("Ask", 1.0)])
CHECK = Play("Check the input", 0.2, [])


@pytest.mark.parametrize(
    ("slowest", "lines"),
    [
        (
            2,
            [
                "play             tasks  seconds",
                "Check the input  0      0.2",
                "Stage            3      6.0",
                "  Build                 4.2",
                "  Ask                   1.0",
                "total            3      6.2",
            ],
        ),
        (
            0,
            [
                "play             tasks  seconds",
                "Check the input  0      0.2",
                "Stage            3      6.0",
                "total            3      6.2",
            ],
        ),
    ],
)
def test_report_lists_plays_and_slowest_tasks(slowest, lines):
    assert report([CHECK, STAGE], slowest) == lines


def test_negative_number_of_tasks_is_zero():
    assert report([CHECK, STAGE], -1) == report([CHECK, STAGE], 0)


def test_multiline_names_are_on_one_line():
    lines = report([Play("Stage\nall\n", 1.0, [Step("Build\n  it", 1.0)])], 1)
    assert [line.rpartition(" ")[0].rstrip() for line in lines[1:3]] == ["Stage all   1", "  Build it"]


def test_run_without_plays():
    assert report([], 3) == ["play   tasks  seconds", "total  0      0.0"]
