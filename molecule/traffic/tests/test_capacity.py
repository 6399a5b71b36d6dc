"""Many idle WebSockets on one machine."""

from __future__ import annotations

import pytest
from traffic import catalogue, session
from traffic.report import table
from traffic.sites import OURS

CLIENTS = 5000


@pytest.mark.long
def test_deploy_with_five_thousand_idle_websockets_loses_no_request(ours, operator, results):
    """All WebSockets are accepted, closed with 1012 by a deploy and accepted again.

    It depends on `ours`, so that it runs after the other disturbances of the same site.
    """
    # A release boots slowly during so many handshakes.
    deploy = catalogue.idle_websockets(operator, CLIENTS, direct=True, asgi_server_boot_timeout=120)
    session_results = session.run(OURS, [deploy], rest_seconds=5, results=results)
    print(f"\n{table(session_results)}\n{session_results[-2].output}\n")

    assert [result.failure for result in session_results if result.failure] == []
    assert sum(result.figures.lost for result in session_results) == 0
    assert sum(result.figures.inconsistent for result in session_results) == 0
    assert session_results[-2].figures.requests > 500
