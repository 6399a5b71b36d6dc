"""What a reload and a deploy cost each server, counted by clients from outside."""

from __future__ import annotations

import pytest
from servers.sites import SITES

every_site = pytest.mark.parametrize("name", SITES)


@every_site
def test_it_went_as_it_should(results, name):
    assert [result.trouble for result in results[name] if result.trouble] == []


@every_site
def test_nothing_is_lost(results, name):
    figures = [result.figures for result in results[name]]
    assert [(each.lost, each.faults) for each in figures if each.lost] == []
    assert all(each.requests > 0 for each in figures)


@every_site
def test_every_request_is_executed_once_and_by_the_right_release(results, name):
    assert [(result.figures.untrue, result.figures.wrong_release) for result in results[name]] == [(0, 0)] * len(
        results[name]
    )
