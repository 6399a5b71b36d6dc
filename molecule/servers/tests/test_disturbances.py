"""The effects of a reload and a deploy on the clients of each server type."""

from __future__ import annotations

import pytest
from servers.sites import SITES

every_site = pytest.mark.parametrize("name", SITES)


@every_site
def test_action_succeeds(results, name):
    assert [result.failure for result in results[name] if result.failure] == []


@every_site
def test_no_request_is_lost(results, name):
    figures = [result.figures for result in results[name]]
    assert [(each.lost, each.faults) for each in figures if each.lost] == []
    assert all(each.requests > 0 for each in figures)


@every_site
def test_every_request_is_executed_once_and_by_the_right_release(results, name):
    assert [(result.figures.inconsistent, result.figures.wrong_release) for result in results[name]] == [(0, 0)] * len(
        results[name]
    )
