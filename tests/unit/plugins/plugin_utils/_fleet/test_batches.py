"""Batches of hosts."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.batches import batches

HOSTS = [f"web{number}" for number in range(1, 11)]


@pytest.mark.parametrize(
    ("hosts", "sizes", "expected"),
    [
        (10, [1, "25%", "100%"], [1, 2, 7]),
        (4, [1, "25%", "100%"], [1, 1, 2]),
        (1, [1, "25%", "100%"], [1]),
        (2, [1, "25%", "100%"], [1, 1]),
        (10, 3, [3, 3, 3, 1]),  # the last size is repeated
        (10, [2, 3], [2, 3, 3, 2]),
        (10, "50%", [5, 5]),
        (10, "1%", [1] * 10),  # at least one host
        (10, 99, [10]),
        (10, "1, 25%, 100%", [1, 2, 7]),  # -e asgi_deploy_batches=1,25%,100%
        (10, "4", [4, 4, 2]),
        (0, [1], []),
    ],
)
def test_batches_contain_all_hosts_in_order(hosts, sizes, expected):
    divided = batches(HOSTS[:hosts], sizes)
    assert [len(batch) for batch in divided] == expected
    assert [host for batch in divided for host in batch] == HOSTS[:hosts]


@pytest.mark.parametrize("sizes", [0, -1, "0", "0%", "101%", "half", "", [], True, None, 1.5, [1, "x"], {"a": 1}])
def test_invalid_sizes_are_rejected(sizes):
    with pytest.raises(ValueError, match=r"use a number of hosts|set at least one size"):
        batches(HOSTS, sizes)
