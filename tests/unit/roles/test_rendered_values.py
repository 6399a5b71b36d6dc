"""Accepted values cannot inject configuration: the tests try hostile strings for every string in the variables of every role."""

from __future__ import annotations

from functools import lru_cache

import hostile
import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import parse
from hypothesis import given, settings
from hypothesis import strategies as st
from parsed import differences
from rendering import Preflight, rendered

ROLES = ("asgi_proxy", "asgi_server", "asgi_balancer")
EVERY = settings(derandomize=True, deadline=None, database=None, max_examples=6)


def paths_of(case):
    """Return the paths of all strings in *case* that may appear in a file."""
    return [
        path
        for path in dict.fromkeys(hostile.strings_of(case.role))
        if path not in hostile.UNRENDERED
        and hostile.harmless(case.variables, path) is not None
        and (not case.only or path in case.only)
    ]


STRINGS = [
    pytest.param(name, path, id=f"{name}-{path}")
    for name, case in hostile.CASES.items()
    for path in paths_of(case)
    if path not in hostile.SNIPPETS
]


@lru_cache
def preflight(name):
    case = hostile.CASES[name]
    return Preflight(case.role, case.variables)


@lru_cache
def harmless_files(name):
    case = hostile.CASES[name]
    return rendered(case.role, case.variables)


def check(name, path, value):
    """Return whether *value* is accepted at *path*; fail if an accepted value injects configuration."""
    case = hostile.CASES[name]
    harmless = hostile.harmless(case.variables, path)
    variables = hostile.changed(case.variables, path, value)
    if preflight(name).objections(variables):
        return False
    # With an empty string or the whole site, there is no separate location, and the directives differ.
    if value not in ("", "/"):
        files = rendered(case.role, variables)
        assert differences(case.role, harmless_files(name), files, harmless.strip("/*.")) == [], (path, value)
    return True


@pytest.mark.parametrize("name", hostile.CASES)
def test_the_harmless_values_are_accepted(name):
    assert preflight(name).objections(hostile.CASES[name].variables) == []
    assert harmless_files(name)


@pytest.mark.parametrize("role", ROLES)
def test_every_string_is_tried(role):
    known = {path for case in hostile.CASES.values() if case.role == role for path in paths_of(case)}
    assert set(hostile.strings_of(role)) - known - set(hostile.UNRENDERED) == set()


@pytest.mark.parametrize(("name", "path"), STRINGS)
def test_the_worst_strings(name, path):
    harmless = hostile.harmless(hostile.CASES[name].variables, path)
    for text in hostile.STRINGS:
        # A variable that accepts appended text is free text, and may be anything; otherwise, try the string alone too.
        if not check(name, path, f"{harmless}{text}"):
            check(name, path, text)


def texts(harmless):
    pieces = st.sampled_from(hostile.STRINGS) | st.text(max_size=4)
    inserted = st.builds(
        lambda piece, at: harmless[:at] + piece + harmless[at:],
        pieces,
        st.integers(min_value=0, max_value=len(harmless)),
    )
    return inserted | st.lists(pieces, min_size=1, max_size=3).map("".join)


@pytest.mark.parametrize(("name", "path"), STRINGS)
def test_any_string(name, path):
    @EVERY
    @given(texts(hostile.harmless(hostile.CASES[name].variables, path)))
    def tried(value):
        check(name, path, value)

    tried()


# Parts of snippets, and text that could end the block of a snippet.
SNIPPET = st.lists(
    st.sampled_from(
        ["charset utf-8;", "location /x { return 204; }", "}", "{", "server {", "#", "'", '"', "\\", ";", "a", " "]
    )
    | st.sampled_from(["\n", "\t", "\r", "\u2003", "\x0b", "${", "$", "\u2003#;\n}", "limit_rate 1k;"]),
    max_size=6,
).map("".join)


@pytest.mark.parametrize("path", hostile.SNIPPETS)
def test_a_snippet_stays_in_its_block(path):
    """A snippet may add directives, but only to its own block."""
    case = hostile.CASES["site"]

    def outside(snippet):
        """Return the part of the site's blocks that *snippet* must not change."""
        files = rendered("asgi_proxy", hostile.changed(case.variables, path, snippet))
        found = [
            (each.name, each.arguments, [own.name for own in each.block or ()])
            for each in parse(files["asgi-shop.conf"])
        ]
        if path == "asgi_proxy_snippet_http":
            return [each for each in found if each[0] in ("server", "upstream", "geo")]
        return [each if each[0] != "server" else each[:2] for each in found]

    harmless = outside("charset koi8-r;" if path != "asgi_proxy_snippet_http" else "")

    @settings(EVERY, max_examples=60)
    @given(SNIPPET)
    def tried(snippet):
        variables = hostile.changed(case.variables, path, snippet)
        if not preflight("site").objections(variables):
            own = [each for each in parse(snippet) if each.name == "server"]
            found = outside(snippet)
            assert len(found) == len(harmless) + (len(own) if path == "asgi_proxy_snippet_http" else 0)
            assert [each for each in found if each in harmless] == harmless

    tried()


@pytest.mark.parametrize("name", ["site", "balancer"])
def test_values_for_certbot_are_single_words(name):
    """Values for certbot do not appear in rendered files, but in its arguments or settings."""
    case = hostile.CASES[name]
    paths = [path for path in hostile.strings_of(case.role) if hostile.CERTBOT.fullmatch(path)]
    assert len(paths) == 4
    for path in paths:
        harmless = hostile.harmless(case.variables, path)
        for text in (value for string in hostile.STRINGS for value in (string, harmless + string, string + harmless)):
            if not preflight(name).objections(hostile.changed(case.variables, path, text)):
                assert not text.startswith("-") or "hmac" in path, (path, text)
                assert text.split() == [text], (path, text)
                assert text.isprintable(), (path, text)
