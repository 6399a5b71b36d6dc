# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value that is rendered for a format is parsed back as the same value."""

from __future__ import annotations

import importlib
import re

import parsed
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.module_utils._host import environment
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import nginx_config
from ansible_collections.asgi.deploy.plugins.plugin_utils._render import (
    haproxy_words,
    htpasswd,
    keepalived,
    nginx,
    systemd_unit,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._values import characters
from hostile import HASH, STRINGS
from hypothesis import given, settings
from hypothesis import strategies as st

ANY = settings(derandomize=True, deadline=None, database=None, max_examples=150)
TEXTS = st.lists(st.sampled_from(STRINGS) | st.text(max_size=5), max_size=3).map("".join)


def rendered(render, value):
    """Return the result of *render* for *value*, or None if *render* raises ValueError."""
    try:
        return render(value)
    except ValueError:
        return None


def nginx_words(literal):
    (directive,) = nginx_config.parse(f"add_header {literal} always;\n")
    assert (directive.name, directive.arguments[1:]) == ("add_header", ("always",))
    return re.sub(r"""\\(["'\\])""", r"\1", directive.arguments[0])


@ANY
@given(TEXTS)
def test_nginx_reads_quoted_values_literally(text):
    quoted = rendered(nginx.quote, text)
    assert quoted is None or nginx_words(quoted) == text
    word = rendered(nginx.word, text)
    assert word is None or nginx_words(word) == text == word


@pytest.mark.parametrize(
    "text", ["", "#a", "'a", '"a', "a b", "a;b", "a{b", "a}b", "a\\b", "$a", "a$b", "a\n", "\xe9", "a" * 4001]
)
def test_invalid_nginx_words_are_rejected(text):
    assert rendered(nginx.word, text) is None


@pytest.mark.parametrize("text", ["*.example.org", "2001:db8::/32", "10m", "5r/s", "X-A", "a#b", "/srv/x~1.-_"])
def test_nginx_reads_words_literally(text):
    assert nginx.word(text) == text


@ANY
@given(TEXTS)
def test_haproxy_reads_quoted_values_literally(text):
    word = rendered(haproxy_words.quote, text)
    assert word is None or parsed.haproxy_words(f"    hdr {word} end") == ["hdr", text, "end"]
    expanded = rendered(lambda value: haproxy_words.quote(value, log_format=True), text)
    assert expanded is None or "%" not in parsed.haproxy_words(f"hdr {expanded}")[1].replace("%%", "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("/health?deep=1&a=%20", "/health?deep=1&a=%20"),
        ("a b", "'a b'"),
        ("a#b", "'a#b'"),
        ("$HOME", "'$HOME'"),
        ("a\\", "'a\\'"),
        ("it's", r"'it'\''s'"),
        ("", "''"),
    ],
)
def test_haproxy_values_are_quoted_if_necessary(text, word):
    assert haproxy_words.quote(text) == word


def test_haproxy_log_formats_contain_no_expression():
    assert haproxy_words.quote("%[env(HOME)]", log_format=True) == "%%[env(HOME)]"


@ANY
@given(TEXTS | st.lists(TEXTS, max_size=3) | st.booleans() | st.floats() | st.none())
def test_systemd_reads_settings_literally(value):
    right = rendered(systemd_unit.value, value)
    if right is not None:
        unit = f"[Service]\nFirst={right}\nSecond=2\n"
        statements = list(parsed.systemd(unit))
        assert statements[1].words[0] == "First"
        assert statements[2:] == [(("[Service]",), ["Second", "2"])]
        assert not re.search(r"(?<!%)(%%)*%(?!%)", re.sub(r"(^|(?<= ))[0-9.]+%($|(?= ))", "", statements[1].words[1]))


@pytest.mark.parametrize(
    "value",
    [
        "a\\",
        ["a", "b\\"],
        ["a\\", "b"],
        "a\\ ",
        ["a\nb"],
        [["a"]],
        {"a": 1},
        float("inf"),
        float("nan"),
        "\u2028",
        "a\0",
    ],
)
def test_invalid_values_of_settings_are_rejected(value):
    assert rendered(systemd_unit.value, value) is None


@ANY
@given(TEXTS)
def test_keepalived_reads_words_literally(text):
    word = rendered(keepalived.word, text)
    assert word is None or list(parsed.keepalived(f"auth_pass {word}\n}}\n")) == [
        ((), ["auth_pass", text]),
        ((), ["}"]),
    ]


def test_messages_contain_no_password():
    with pytest.raises(ValueError, match="characters other than") as caught:
        keepalived.word("s3cret!")
    assert "s3cret" not in str(caught.value)


@ANY
@given(st.dictionaries(TEXTS, st.just(HASH) | TEXTS, max_size=2))
def test_htpasswd_has_one_line_for_each_user(users):
    text = rendered(htpasswd.render, users)
    assert text is None or dict(line.split(":") for line in text.splitlines()) == users


def test_users_are_sorted():
    """The order matches Jinja's dictsort, so that existing files do not change."""
    assert [line[0] for line in htpasswd.render({"b": HASH, "C": HASH, "a": HASH, 1: HASH}).splitlines()] == [
        "1",
        "a",
        "b",
        "C",
    ]


@pytest.mark.parametrize(
    "users", [{"a:b": HASH}, {"a\nb": HASH}, {"a": "secret"}, {"a": f"{HASH}\nb:{HASH}"}, {"": HASH}]
)
def test_invalid_users_are_rejected(users):
    with pytest.raises(ValueError, match="is not a") as caught:
        htpasswd.render(users)
    assert "secret" not in str(caught.value)


def systemd_environment(text):
    """Parse double-quoted values of an environment file as systemd's parse_env_file() does."""
    found, position = {}, 0
    while position < len(text):
        name, _equals, _rest = text[position:].partition('="')
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        position += len(name) + 2
        value = ""
        while text[position] != '"':
            if text[position] == "\\":
                position += 1
                # A backslash escapes these characters, removes a following line break, and remains before other characters.
                value += "" if text[position] in '"\\`$\n' else "\\"
                value += "" if text[position] == "\n" else text[position]
            else:
                value += text[position]
            position += 1
        assert text[position + 1] == "\n"
        position += 2
        found[name] = value
    return found


@ANY
@given(st.dictionaries(st.sampled_from(["A", "B_1", "_c"]) | TEXTS, TEXTS | st.booleans() | st.integers(), max_size=3))
def test_systemd_reads_environment_variables_literally(variables):
    checked = rendered(environment.check_environment, variables)
    if checked is not None:
        text = environment.render_environment(checked)
        assert systemd_environment(text) == checked
        assert environment.parse_environment(text) == checked
        text.encode()


@pytest.mark.parametrize("value", ["\ud800", "a\0", "a" * 131072, "\xe9" * 65536])
def test_invalid_environment_variables_are_rejected(value):
    with pytest.raises(ValueError, match="A (contains|has)") as caught:
        environment.check_environment({"A": value})
    assert len(str(caught.value)) < 200


@ANY
@given(TEXTS)
def test_comments_are_one_line(text):
    line = rendered(characters.one_line, text)
    assert line is None or (line == text and len(line.splitlines()) <= 1)


def test_line_breaks_are_allowed_on_request():
    for text in ("a\n", "a\0", "\x85", "\u2028", "\u2029", "\ud800", "\x1b"):
        assert characters.refused_character(text) == text[-1]
    assert characters.refused_character("a\xa0\u200b\xe9") is None
    assert characters.refused_character("a\r\n\tb", characters.LINE_ENDS) is None
    assert characters.refused_character("a\r\n\0", characters.LINE_ENDS) == "\0"


@pytest.mark.parametrize(
    "name", ["haproxy_quote", "htpasswd", "keepalived_word", "nginx_quote", "nginx_word", "one_line", "systemd_value"]
)
def test_errors_of_filters_contain_their_name(name):
    module = importlib.import_module(f"ansible_collections.asgi.deploy.plugins.filter.{name}")
    with pytest.raises(AnsibleFilterError, match=f"^{name}: "):
        module.FilterModule().filters()[name]({"a": "b"} if name == "htpasswd" else "a\nb")
