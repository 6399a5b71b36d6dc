"""Values are checked against the argument specification without conversion."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.action.preflight import SPECIFICATIONS
from ansible_collections.asgi.deploy.plugins.plugin_utils._values import options
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.options import ENVIRONMENTS, MULTI_LINE, typed
from hostile import strings_of


@pytest.fixture(autouse=True)
def current_core(monkeypatch):
    monkeypatch.setattr(options, "KEEPS_TYPES", True)


def on_the_command_line(**meant):
    return f"on the command line as JSON: -e '{json.dumps(meant)}'"


SPEC = {
    "asgi_number": {"type": "int", "default": 5, "description": ["How many.", "More."]},
    "asgi_share": {"type": "float"},
    "asgi_switch": {"type": "bool", "default": True},
    "asgi_names": {"type": "list", "elements": "str"},
    "asgi_ports": {"type": "list", "elements": "int"},
    "asgi_env": {"type": "dict", "default": {}, "no_log": True},
    "asgi_text": {"type": "str", "description": "A text, see O(asgi_any)."},
    "asgi_path": {"type": "path"},
    "asgi_choice": {"type": "str", "choices": ["a", "b"], "description": "Which."},
    "asgi_any": {"type": "raw"},
    "asgi_static": {
        "type": "list",
        "elements": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            "max_age": {"type": "int", "default": 3600},
            "immutable": {"type": "bool"},
        },
    },
    "asgi_source": {"type": "dict", "options": {"path": {"type": "str"}, "depth": {"type": "int"}}},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asgi_number", 60),
        ("asgi_share", 1),
        ("asgi_share", 0.5),
        ("asgi_switch", False),
        ("asgi_names", []),
        ("asgi_names", ["a", 1.5]),
        ("asgi_ports", [80]),
        ("asgi_env", {"A": 1, "B": "60"}),
        ("asgi_text", "60"),
        ("asgi_text", 60),
        ("asgi_path", "a/b"),
        ("asgi_choice", "a"),
        ("asgi_any", "auto"),
        ("asgi_any", 4),
        ("asgi_static", [{"url": "/a/", "max_age": 1, "immutable": None}]),
        ("asgi_source", {"path": "x", "depth": None}),
    ],
)
def test_valid_types_are_accepted(name, value):
    good, problems = typed(SPEC, {name: value})
    assert (list(good), problems) == ([name], [])


def test_suboptions_have_defaults():
    good, _problems = typed(SPEC, {"asgi_static": [{"url": "/a/"}]})
    assert good["asgi_static"][0]["max_age"] == 3600


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("asgi_number", "60", "is the string '60' -> use a number; " + on_the_command_line(asgi_number=60)),
        # The example in the remedy is the default.
        ("asgi_number", "two", "is the string 'two' -> use a number; " + on_the_command_line(asgi_number=5)),
        ("asgi_share", "0.5", "is the string '0.5' -> use a number; " + on_the_command_line(asgi_share=0.5)),
        ("asgi_share", "half", "is the string 'half' -> use a number"),
        (
            "asgi_switch",
            "false",
            "is the string 'false' -> use true or false; " + on_the_command_line(asgi_switch=False),
        ),
        ("asgi_switch", "Yes", "is the string 'Yes' -> use true or false; " + on_the_command_line(asgi_switch=True)),
        (
            "asgi_names",
            "a.b,c.d",
            "is the string 'a.b,c.d' -> use a list; " + on_the_command_line(asgi_names=["a.b", "c.d"]),
        ),
        ("asgi_source", "shop", "is the string 'shop' -> use a dictionary"),
        ("asgi_number", True, "is the bool True -> use a number"),
        ("asgi_number", 1.5, "is the float 1.5 -> use a number"),
        ("asgi_env", '{"A": "hidden"}', "is the string -> use a dictionary"),
        ("asgi_text", ["a"], "is the list ['a'] -> use a string"),
        ("asgi_number", None, "is null -> remove it for the default, or set it (How many.)"),
        ("asgi_text", None, "is null -> remove it, or set it (A text, see asgi_any.)"),
        ("asgi_choice", "c", "is 'c': value of asgi_choice must be one of: a, b, got: c -> set it (Which.)"),
    ],
)
def test_wrong_types_are_rejected(name, value, expected):
    good, (problem,) = typed(SPEC, {name: value})
    assert f"{problem.variable} {problem.fault} -> {problem.remedy}" == f"{name} {expected}"
    assert good == {}


def test_number_from_a_template_of_an_older_core(monkeypatch):
    monkeypatch.setattr(options, "KEEPS_TYPES", False)
    _good, (problem,) = typed(SPEC, {"asgi_number": "60"})
    assert problem.remedy == (
        "use a number without a template, which returns a string before ansible-core 2.19; "
        + on_the_command_line(asgi_number=60)
    )
    _good, (problem,) = typed(SPEC, {"asgi_switch": "no"})
    assert "template" not in problem.remedy


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("asgi_names", [None], "asgi_names[0] is null -> remove it, or set a value"),
        ("asgi_names", ["a", ["b"]], "asgi_names[1] is the list ['b'] -> use a string"),
        ("asgi_ports", [80, "443"], "asgi_ports[1] is the string '443' -> use a number"),
        ("asgi_source", {"depth": "1"}, "asgi_source.depth is the string '1' -> use a number"),
        ("asgi_static", [{"url": "/a/", "max_age": "1"}], "asgi_static[0].max_age is the string '1' -> use a number"),
        (
            "asgi_static",
            [{"url": "/a/", "max_age": None}],
            "asgi_static[0].max_age is null -> remove it for the default, or set a value",
        ),
    ],
)
def test_types_of_elements_and_suboptions_are_checked(name, value, expected):
    good, (problem,) = typed(SPEC, {name: value})
    assert f"{problem.variable} {problem.fault} -> {problem.remedy}" == expected
    assert good == {}


def messages(name, value):
    return [f"{problem.variable} {problem.fault} -> {problem.remedy}" for problem in typed(SPEC, {name: value})[1]]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("asgi_env", "{SINCE: 2026-01-01}", "asgi_env.SINCE"),
        ("asgi_env", "{SINCE: 2026-01-01 10:00:00}", "asgi_env.SINCE"),
        ("asgi_text", "2026-01-01", "asgi_text"),
        ("asgi_any", "2026-01-01", "asgi_any"),
        ("asgi_names", "[x, 2026-01-01]", "asgi_names[1]"),
        ("asgi_static", "[{url: 2026-01-01}]", "asgi_static[0].url"),
    ],
)
def test_dates_must_be_quoted(name, text, where):
    assert messages(name, yaml.safe_load(text)) == [
        f"{where} is a YAML date, not a string -> quote the value",
    ]
    quoted = re.sub(r"(2026[-:\d ]+\d)", r"'\1'", text)
    assert messages(name, yaml.safe_load(quoted)) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("asgi_source", {"pth": "x"}, "asgi_source.pth is not a known key -> did you mean path?"),
        ("asgi_source", {"path": "x", "q": 1}, "asgi_source.q is not a known key -> keys are depth, path"),
        (
            "asgi_static",
            [{"url": "/a", "maxage": 5}],
            "asgi_static[0].maxage is not a known key -> did you mean max_age?",
        ),
        (
            "asgi_static",
            [{"url": "/a", 5: 5}],
            "asgi_static[0].5 is not a known key -> keys are immutable, max_age, url",
        ),
    ],
)
def test_unknown_keys_are_rejected_with_the_nearest_one(name, value, expected):
    assert messages(name, value) == [expected]


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("asgi_text", "a{}b", "asgi_text"),
        ("asgi_path", "/a{}b", "asgi_path"),
        ("asgi_any", "{}", "asgi_any"),
        ("asgi_any", ["a", {"b": ["c{}"]}], "asgi_any[1].b[0]"),
        ("asgi_any", {"a{}": 1}, "a name in asgi_any"),
        ("asgi_names", ["a", "b{}"], "asgi_names[1]"),
        ("asgi_static", [{"url": "/{}"}], "asgi_static[0].url"),
        ("asgi_source", {"path": "{}"}, "asgi_source.path"),
    ],
)
def test_control_characters_are_rejected(name, value, place, character):
    def with_character(part):
        if isinstance(part, str):
            return part.replace("{}", character)
        if isinstance(part, dict):
            return {with_character(key): with_character(item) for key, item in part.items()}
        return [with_character(item) for item in part] if isinstance(part, list) else part

    good, (problem,) = typed(SPEC, {name: with_character(value)})
    assert good == {}
    assert problem.variable == place
    # The character is escaped, so that the message stays on one line.
    assert problem.fault.endswith(f"contains {character!r}")
    assert character not in problem.fault


def test_messages_contain_no_secret():
    secret = {"asgi_secret": {"type": "str", "no_log": True}}
    _good, (problem,) = typed(secret, {"asgi_secret": "hidden\n"})
    assert problem.fault == "contains '\\n'"


@pytest.mark.parametrize("name", sorted(name for name in MULTI_LINE if "[" not in name))
def test_some_values_may_have_several_lines(name):
    spec = {name: {"type": "str"}}
    assert typed(spec, {name: "a\r\n\tb"})[1] == []
    _good, (problem,) = typed(spec, {name: "a\n\0"})
    assert problem.fault.endswith("contains '\\x00'")


def test_snippets_of_locations_may_have_several_lines():
    spec = {"asgi_proxy_locations": {"type": "list", "elements": "dict", "options": {"url": {}, "snippet": {}}}}
    assert typed(spec, {"asgi_proxy_locations": [{"snippet": "a;\nb;"}, {"snippet": "a;\nb;"}]})[1] == []
    assert typed(spec, {"asgi_proxy_locations": [{"url": "a\nb"}]})[1] != []


def test_environment_variables_may_have_several_lines():
    assert typed(SPEC, {"asgi_env": {"A": "a\nb"}})[1] == []


def test_exceptions_are_strings_of_the_roles():
    known = {path for role in SPECIFICATIONS for path in strings_of(role)}
    assert known >= MULTI_LINE
    assert known >= {f"{name}{{}}" for name in ENVIRONMENTS}


@pytest.mark.parametrize("value", [b"a", {"a"}, object()])
def test_other_yaml_types_are_rejected(value):
    assert typed(SPEC, {"asgi_text": value})[1] != []
    assert typed(SPEC, {"asgi_names": [value]})[1] != []


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_infinite_numbers_are_rejected(value):
    assert typed(SPEC, {"asgi_share": value})[1] != []
