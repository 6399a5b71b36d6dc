"""Numbers that were given as one or as a text."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.numbers import whole


@pytest.mark.parametrize(("value", "number"), [(0, 0), ("0", 0), (12, 12), ("012", 12)])
def test_a_number_or_its_text(value, number):
    assert whole(value) == number


@pytest.mark.parametrize(
    "value",
    ["", " 1", "-1", -1, "1.0", 1.0, True, None, [], [1], "9" * 5000, int("f" * 5000, 16)],
    ids=lambda _value: "",
)
def test_what_is_none(value):
    assert whole(value) is None
