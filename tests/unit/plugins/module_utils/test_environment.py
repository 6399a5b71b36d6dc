"""What goes into an EnvironmentFile comes out of systemd as it was, and is shown to nobody."""

from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.environment import (
    app_environment,
    check_environment,
    describe_environment,
    hide,
    parse_environment,
    render_environment,
)
from hypothesis import given
from hypothesis import strategies as st


def read_as_systemd_does(text):
    """A reader for double-quoted values after systemd's parse_env_file_internal()."""
    found, rest = {}, text
    while rest:
        name, rest = rest.split('="', 1)
        body = re.match(r'(?:[^"\\]|\\.)*', rest, re.DOTALL).group(0)
        found[name] = re.sub(r'\\(["\\`$])', r"\1", body)
        rest = rest[len(body) + 2 :]  # the closing quote and the line's end
    return found


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("plain", 'A="plain"\n'),
        ("with space # and ; these", 'A="with space # and ; these"\n'),
        ('a "quoted" $word `x` \\', 'A="a \\"quoted\\" \\$word \\`x\\` \\\\"\n'),
        ("two\nlines", 'A="two\nlines"\n'),
        ("", 'A=""\n'),
    ],
)
def test_rendered_values(value, rendered):
    assert render_environment({"A": value}) == rendered


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_every_environment_survives_the_file(environment):
    text = render_environment(environment)

    assert read_as_systemd_does(text) == environment
    assert parse_environment(text) == environment


def test_scalars_become_strings():
    assert check_environment({"N": 1, "F": 0.5, "YES": True, "S": "x"}) == {
        "N": "1",
        "F": "0.5",
        "YES": "true",
        "S": "x",
    }


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"A B": "x"}, "not a name"),
        ({"1A": "x"}, "not a name"),
        ({"A=B": "x"}, "not a name"),
        ({"A": ["x"]}, "is a list"),
        ({"A": None}, "is a NoneType"),
        ({"A": "x\0y"}, "NUL"),
    ],
)
def test_what_no_process_could_be_given(environment, message):
    with pytest.raises(ValueError, match=message):
        check_environment(environment)


def test_a_diff_names_variables_and_hides_values():
    before = {"KEPT": "same", "TOKEN": "old-secret", "GONE": "x"}

    shown = describe_environment({"KEPT": "same", "TOKEN": "new-secret", "FRESH": "x"}, before)

    assert shown.splitlines() == ["FRESH (hidden, new)", "KEPT (hidden)", "TOKEN (hidden, changed)"]


def test_the_users_environment_wins():
    paths = {"name": "hello", "shared": "/srv/hello/shared"}

    environment = app_environment(paths, {"HOME": "/elsewhere", "A": "x"})

    assert (environment["ASGI_SHARED"], environment["HOME"], environment["A"]) == (
        "/srv/hello/shared",
        "/elsewhere",
        "x",
    )


def test_messages_lose_secrets_but_not_words():
    environment = {"TOKEN": "s3cret-value", "DEBUG": "true", "WORKERS": "1"}

    assert hide("RuntimeError: s3cret-value is true, 1 time", environment) == "RuntimeError: ******** is true, 1 time"
