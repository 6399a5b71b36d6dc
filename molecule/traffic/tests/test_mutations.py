"""Each protection, switched off alone, costs requests; the harness notices, so that its zeros mean something."""

from __future__ import annotations

import pytest
from traffic import session
from traffic.mutations import MUTATIONS, Mutation
from traffic.report import table

pytestmark = pytest.mark.long

ATTEMPTS = 3


@pytest.fixture
def harm(site, results):
    """Return how much harm is done with a protection on or off."""

    def measure(mutation: Mutation, on: bool) -> int:
        with mutation.setting(site, on):
            disturbances = mutation.disturbances(site, on)
            found = session.run(site, disturbances, shape=mutation.shape, quiet_seconds=1, results=results)
        print(f"\n{table(found)}")
        assert [result.trouble for result in found if result.trouble] == []
        return sum(mutation.harm(result.figures) for result in found)

    return measure


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.protection)
def test_it_is_noticed(mutation, harm):
    with_it = harm(mutation, on=True)
    # what it prevents is a matter of milliseconds: chance may spare a few rounds
    assert any(harm(mutation, on=False) > 2 * with_it for _attempt in range(ATTEMPTS))
