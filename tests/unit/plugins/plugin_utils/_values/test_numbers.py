"""Integers that may be strings."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole


@pytest.mark.parametrize(("value", "number"), [(0, 0), ("0", 0), (12, 12), ("012", 12)])
def test_integers_and_their_strings_are_accepted(value, number):
    assert whole(value) == number


@pytest.mark.parametrize(
    "value",
    ["", " 1", "1\n", "\uff11", "\u0661", "-1", -1, "1.0", 1.0, True, None, [], [1], "9" * 5000, int("f" * 5000, 16)],
    ids=lambda _value: "",
)
def test_other_values_are_rejected(value):
    assert whole(value) is None
