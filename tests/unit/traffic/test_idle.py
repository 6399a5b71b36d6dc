"""The failures that clients with idle WebSockets report."""

from __future__ import annotations

from collections import Counter

import pytest
from traffic.idle import IdleClients


def clients(**others):
    values = {"opened": 6, "closed": Counter({1012: 3}), "open_at_the_end": 3, "first_close": 1.0, "last_close": 2.5}
    return IdleClients(3, **{**values, **others})


def test_reconnected_clients_report_no_failure():
    assert clients().failure == ""
    assert str(clients()) == "3 clients, accepted 6 times, 3 closed with 1012 within 1.5 s, 0 faults"


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"faults": Counter({"InvalidStatus": 1})}, "refused or broken off: {'InvalidStatus': 1}"),
        ({"closed": Counter({1012: 2, 1006: 1})}, "closed with {1012: 2, 1006: 1}, not 3 times with 1012"),
        ({"closed": Counter()}, "not 3 times with 1012"),
        ({"opened": 5, "open_at_the_end": 2}, "5 accepted, 2 open at the end, of 3 clients"),
    ],
)
def test_failure(others, words):
    assert words in clients(**others).failure
