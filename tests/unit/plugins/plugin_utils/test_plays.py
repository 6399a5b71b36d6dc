"""What is told of the plays of a run."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.plays import Play, Step, report

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
                "in all           3      6.2",
            ],
        ),
        (
            0,
            [
                "play             tasks  seconds",
                "Check the input  0      0.2",
                "Stage            3      6.0",
                "in all           3      6.2",
            ],
        ),
    ],
)
def test_each_play_and_its_slowest_tasks(slowest, lines):
    assert report([CHECK, STAGE], slowest) == lines


def test_fewer_than_no_tasks_are_none():
    assert report([CHECK, STAGE], -1) == report([CHECK, STAGE], 0)


def test_a_name_of_several_lines_stays_on_one():
    lines = report([Play("Stage\nall\n", 1.0, [Step("Build\n  it", 1.0)])], 1)
    assert [line.rpartition(" ")[0].rstrip() for line in lines[1:3]] == ["Stage all   1", "  Build it"]


def test_a_run_without_plays():
    assert report([], 3) == ["play    tasks  seconds", "in all  0      0.0"]
