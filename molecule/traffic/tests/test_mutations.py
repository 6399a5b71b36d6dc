"""Without one of the protections, requests are lost, and the load generator detects it."""

from __future__ import annotations

import pytest
from traffic import session
from traffic.mutations import MUTATIONS, Mutation
from traffic.report import table

pytestmark = pytest.mark.long

ATTEMPTS = 3


@pytest.fixture
def harm(site, results):
    """Return a function that measures the harm with a protection on or off."""

    def measure(mutation: Mutation, on: bool) -> int:
        with mutation.setting(site, on):
            disturbances = mutation.disturbances(site, on)
            session_results = session.run(site, disturbances, shape=mutation.shape, quiet_seconds=1, results=results)
        print(f"\n{table(session_results)}")
        assert [result.failure for result in session_results if result.failure] == []
        return sum(mutation.harm(result.figures) for result in session_results)

    return measure


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.protection)
def test_disabled_protection_is_detected(mutation, harm):
    protected = harm(mutation, on=True)
    # A protection covers only a few milliseconds, so in some rounds its absence does no harm.
    assert any(harm(mutation, on=False) > 2 * protected for _attempt in range(ATTEMPTS))
