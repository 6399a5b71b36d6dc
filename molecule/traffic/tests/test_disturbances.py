"""Not one request is lost, whatever is done to the app; the stock recipe, reloaded on the same machine, does lose some."""

from __future__ import annotations

import pytest
from traffic.broken import BROKEN
from traffic.catalogue import CERTIFICATE, KILLED, LOSSLESS, NAMES, REPLACING
from traffic.counting import QUIET, WARM_UP

IDLE = [WARM_UP, QUIET]


@pytest.fixture
def result(ours, name):
    return next(result for result in ours if result.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_it_went_as_it_should(result):
    """The action did what it was to do, and what serves afterwards is what should."""
    assert result.trouble == ""


@pytest.mark.parametrize("name", [*IDLE, *LOSSLESS])
def test_nothing_is_lost(result):
    assert (result.figures.lost, result.figures.faults) == (0, {})
    assert result.figures.requests > 0


@pytest.mark.parametrize("name", [*IDLE, *LOSSLESS])
def test_every_request_is_executed_once_and_by_the_right_release(result):
    assert (result.figures.untrue, result.figures.wrong_release) == (0, 0)


@pytest.mark.parametrize("name", REPLACING)
def test_websockets_stay_until_the_drain_ends(result):
    """They echo on when other requests are answered by the new release already, and are told to come again (1012)."""
    assert set(result.figures.closed) == {"1012"}
    assert result.figures.echoes_after_flip >= result.figures.closed["1012"]


@pytest.mark.parametrize("name", REPLACING)
def test_streams_end_in_order(result):
    """With a whole event, and with the mark of the end that HTTP has."""
    assert result.figures.streams > 0
    assert (result.figures.streams_cut, result.figures.streams_broken_off) == (0, 0)


@pytest.mark.parametrize("name", [KILLED])
def test_a_killed_worker_takes_with_it_what_it_was_answering(result):
    assert result.figures.lost <= result.askers
    assert (result.figures.answered_but_not_executed, result.figures.wrong_release) == (0, 0)


@pytest.mark.parametrize("name", [CERTIFICATE])
def test_a_certificate_change_costs_idle_connections_and_no_more(result):
    """What fails was never read: no status that says so, and nothing executed. One connection of each client."""
    assert not [fault for fault in result.figures.faults if fault.startswith("HTTP")]
    assert (result.figures.untrue, result.figures.wrong_release) == (0, 0)
    assert result.figures.lost <= result.askers


def test_what_broken_releases_cost_and_say(ours):
    """Printed, for the reader: that they were refused, and with which words, is what went as it should above."""
    found = {result.name: result for result in ours}
    for broken in BROKEN:
        result = found[broken.name]
        print(
            f"\n{broken.name}: {result.figures.lost} lost, {result.after} serves. {result.said.splitlines()[0]}", end=""
        )
    print()
    assert len(BROKEN) >= 10
    assert all(result.said for result in found.values() if result.name in {broken.name for broken in BROKEN})


def test_there_was_enough_to_lose(ours):
    assert sum(result.figures.requests for result in ours) >= 20_000
    assert len(LOSSLESS) >= 12


def test_the_stock_recipe_loses(ours, stock):
    """The control: the same clients on the same machine, so that the zeros above mean something."""
    lossless = [result for result in ours if result.name in [*IDLE, *LOSSLESS]]
    for label, results in (("ours", lossless), ("stock", stock)):
        disturbances = sum(result.name not in IDLE for result in results)
        requests = sum(result.figures.requests for result in results)
        lost = sum(result.figures.lost for result in results)
        print(f"\n{label:>6}: {lost} of {requests:,} requests lost in {disturbances} disturbances", end="")
    print()
    assert sum(result.figures.lost for result in stock) > 0
