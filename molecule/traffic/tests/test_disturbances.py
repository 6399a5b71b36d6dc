"""No disturbance of the app loses a request. The stock recipe loses some on the same machine."""

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
def test_action_succeeds(result):
    """The action has the intended result, and the right release serves afterwards."""
    assert result.failure == ""


@pytest.mark.parametrize("name", [*IDLE, *LOSSLESS])
def test_no_request_is_lost(result):
    assert (result.figures.lost, result.figures.faults) == (0, {})
    assert result.figures.requests > 0


@pytest.mark.parametrize("name", [*IDLE, *LOSSLESS])
def test_every_request_is_executed_once_and_by_the_right_release(result):
    assert (result.figures.inconsistent, result.figures.wrong_release) == (0, 0)


@pytest.mark.parametrize("name", REPLACING)
def test_websockets_stay_until_the_drain_ends(result):
    """They continue while the new release answers other requests, and are closed with 1012."""
    assert set(result.figures.closed) == {"1012"}
    assert result.figures.echoes_after_flip >= result.figures.closed["1012"]


@pytest.mark.parametrize("name", REPLACING)
def test_streams_end_with_a_complete_event(result):
    """The HTTP response is complete, too."""
    assert result.figures.streams > 0
    assert (result.figures.streams_cut, result.figures.streams_incomplete) == (0, 0)


@pytest.mark.parametrize("name", [KILLED])
def test_killed_worker_loses_only_requests_in_flight(result):
    assert result.figures.lost <= result.concurrency
    assert (result.figures.answered_but_not_executed, result.figures.wrong_release) == (0, 0)


@pytest.mark.parametrize("name", [CERTIFICATE])
def test_certificate_change_loses_only_idle_connections(result):
    """nginx never read the lost requests: they have no HTTP status and were not executed. Each client loses one connection."""
    assert not [fault for fault in result.figures.faults if fault.startswith("HTTP")]
    assert (result.figures.inconsistent, result.figures.wrong_release) == (0, 0)
    assert result.figures.lost <= result.concurrency


def test_reloads_of_a_recent_nginx_lose_no_request(reloads_of_nginx):
    """Debian 14 has no VERSION_ID in its os-release, so the features depend on the installed nginx."""
    assert [result.failure for result in reloads_of_nginx if result.failure] == []
    assert [(result.name, result.figures.faults) for result in reloads_of_nginx if result.figures.lost] == []
    assert sum(result.figures.inconsistent for result in reloads_of_nginx) == 0
    assert sum(result.figures.requests for result in reloads_of_nginx) >= 2_000


def test_every_broken_release_has_an_error_message(ours):
    """Prints the messages. test_action_succeeds checks their words."""
    by_name = {result.name: result for result in ours}
    for broken in BROKEN:
        result = by_name[broken.name]
        print(
            f"\n{broken.name}: {result.figures.lost} lost, {result.after} serves. {result.output.splitlines()[0]}",
            end="",
        )
    print()
    assert len(BROKEN) >= 10
    assert all(result.output for result in by_name.values() if result.name in {broken.name for broken in BROKEN})


def test_number_of_requests_and_disturbances_is_sufficient(ours):
    assert sum(result.figures.requests for result in ours) >= 20_000
    assert len(LOSSLESS) >= 12


def test_stock_recipe_loses_requests(ours, stock):
    """The control group: the load generator detects lost requests of the stock recipe, with the same clients on the same machine."""
    lossless = [result for result in ours if result.name in [*IDLE, *LOSSLESS]]
    for label, results in (("ours", lossless), ("stock", stock)):
        disturbances = sum(result.name not in IDLE for result in results)
        requests = sum(result.figures.requests for result in results)
        lost = sum(result.figures.lost for result in results)
        print(f"\n{label:>6}: {lost} of {requests:,} requests lost in {disturbances} disturbances", end="")
    print()
    assert sum(result.figures.lost for result in stock) > 0
