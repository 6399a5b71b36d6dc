"""The filters that render values as Python literals and systemd settings."""

from __future__ import annotations

import ast

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.filter.python_literal import python_literal
from ansible_collections.asgi.deploy.plugins.filter.systemd_value import systemd_value
from hypothesis import given
from hypothesis import strategies as st

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN)
def test_a_literal_evaluates_to_its_value(value):
    assert ast.literal_eval(python_literal(value)) == value


def test_subclasses_of_builtins_look_like_them():
    class Tagged(str):
        def __repr__(self):
            return "Tagged(...)"

    assert python_literal([Tagged("it's")]) == '["it\'s"]'


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), {1, 2}])
def test_what_has_no_literal(value):
    with pytest.raises(AnsibleFilterError, match="has no literal"):
        python_literal(value)


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        (True, "yes"),
        (False, "no"),
        (65536, "65536"),
        ("strict", "strict"),
        # a percentage, which MemoryMax, CPUQuota and TasksMax accept
        ("50%", "50%"),
        ("12.5%", "12.5%"),
        # systemd must not expand a specifier
        ("/srv/100%/x", "/srv/100%%/x"),
        ("%n", "%%n"),
        (["AF_UNIX", "AF_INET"], "AF_UNIX AF_INET"),
        ("", ""),
    ],
)
def test_settings(value, rendered):
    assert systemd_value(value) == rendered


@pytest.mark.parametrize("value", ["a\nExecStartPre=/bin/evil", "a\rb", "a\0b", None, {"a": 1}])
def test_what_is_not_one_setting(value):
    with pytest.raises(AnsibleFilterError, match="systemd_value"):
        systemd_value(value)
