"""How the faults of the input are told."""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import (
    SHOWN,
    Doubt,
    Problem,
    describe,
    describe_doubt,
    shown,
)


def test_every_fault_has_a_line_with_its_remedy():
    text = describe("web1", [Problem("asgi_name", "is 'A'", "use 'a'"), Problem("asgi_env", "is wrong", "mend it")])

    assert text.splitlines() == [
        "2 problems in the variables of web1; nothing has been changed:",
        "  asgi_name is 'A' -> use 'a'",
        "  asgi_env is wrong -> mend it",
    ]


def test_one_is_singular():
    assert describe("web1", [Problem("a", "b", "c")]).startswith("1 problem in the variables of web1;")


def test_credentials_in_a_quoted_value_are_hidden():
    text = describe("web1", [Problem("a", "is 'https://u:p@ss@git.example/x'", "see https://t@b.example")])
    assert text.splitlines()[1] == "  a is 'https://********@git.example/x' -> see https://********@b.example"


def test_a_doubt_is_a_line_of_its_own():
    assert describe_doubt("lb1", Doubt("a", "is 'https://t@b.example'", "see")) == (
        "lb1: a is 'https://********@b.example' -> see"
    )


def test_a_value_is_shortened():
    assert shown("a") == "'a'"
    assert shown(["x" * 500]) == f"['{'x' * (SHOWN - 2)}..."
    assert shown({"a": int("f" * 5000, 16)}) == "a number of thousands of digits"


def test_what_is_cut_off_does_not_take_the_mask_of_a_credential_with_it():
    assert "secret" not in shown(f"https://anna:secret{'x' * SHOWN}@git.example/x")
