"""Messages of problems and doubts."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import (
    SHOWN,
    Doubt,
    Problem,
    describe,
    describe_doubt,
    shown,
)

CREDENTIALS = ("address-invalid", "a", "is 'https://u:p@ss@git.example/x'", "see https://t@b.example")


def test_message_has_one_line_for_each_problem():
    found = [Problem("port-duplicate", "a", "is 1", "use 2"), Problem("date-unquoted", "b", "is a date")]

    assert describe("web1", found).splitlines() == [
        "2 problems in the variables of web1; nothing has been changed:",
        "  a is 1 -> use 2 [port-duplicate]",
        "  b is a date -> quote the value [date-unquoted]",
    ]
    assert describe("web1", found[:1]).startswith("1 problem in the variables of web1;")


def test_message_masks_credentials():
    masked = "a is 'https://********@git.example/x' -> see https://********@b.example [address-invalid]"
    assert describe("web1", [Problem(*CREDENTIALS)]).splitlines()[1] == f"  {masked}"
    assert describe_doubt("lb1", Doubt(*CREDENTIALS)) == f"lb1: {masked}"


def test_unknown_code_has_no_remedy():
    with pytest.raises(KeyError):
        Problem("no-such-code", "a", "is 1")


def test_long_values_are_shortened():
    assert shown("a") == "'a'"
    assert shown(["x" * 500]) == f"['{'x' * (SHOWN - 2)}..."
    assert shown({"a": int("f" * 5000, 16)}) == "a number of thousands of digits"


def test_shortened_values_contain_no_credentials():
    assert "secret" not in shown(f"https://anna:secret{'x' * SHOWN}@git.example/x")
