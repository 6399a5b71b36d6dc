"""What a variable's type has to be, before a template gets it as it is."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.options import typed


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
def test_right_types_pass(name, value):
    good, problems = typed(SPEC, {name: value})
    assert (list(good), problems) == ([name], [])


def test_suboptions_get_their_defaults():
    good, _problems = typed(SPEC, {"asgi_static": [{"url": "/a/"}]})
    assert good["asgi_static"][0]["max_age"] == 3600


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("asgi_number", "60", "is the text '60' -> give a number; " + on_the_command_line(asgi_number=60)),
        # no number at all: the default is an example
        ("asgi_number", "two", "is the text 'two' -> give a number; " + on_the_command_line(asgi_number=5)),
        ("asgi_share", "0.5", "is the text '0.5' -> give a number; " + on_the_command_line(asgi_share=0.5)),
        ("asgi_share", "half", "is the text 'half' -> give a number"),
        (
            "asgi_switch",
            "false",
            "is the text 'false' -> give true or false; " + on_the_command_line(asgi_switch=False),
        ),
        ("asgi_switch", "Yes", "is the text 'Yes' -> give true or false; " + on_the_command_line(asgi_switch=True)),
        (
            "asgi_names",
            "a.b,c.d",
            "is the text 'a.b,c.d' -> give a list; " + on_the_command_line(asgi_names=["a.b", "c.d"]),
        ),
        ("asgi_source", "shop", "is the text 'shop' -> give a dictionary"),
        ("asgi_number", True, "is the value True -> give a number"),
        ("asgi_number", 1.5, "is the value 1.5 -> give a number"),
        ("asgi_env", '{"A": "hidden"}', "is the text -> give a dictionary"),
        ("asgi_text", ["a"], "is the list ['a'] -> give a text"),
        ("asgi_number", None, "is null -> leave it out for the default, or give what it is for: How many."),
        ("asgi_text", None, "is null -> leave it out, or give what it is for: A text, see asgi_any."),
        ("asgi_choice", "c", "is 'c': value of asgi_choice must be one of: a, b, got: c -> it is: Which."),
    ],
)
def test_wrong_types_are_told_and_go_no_further(name, value, told):
    good, (problem,) = typed(SPEC, {name: value})
    assert f"{problem.variable} {problem.fault} -> {problem.remedy}" == f"{name} {told}"
    assert good == {}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("asgi_names", [None], "asgi_names[0] is null -> leave it out, or give a value"),
        ("asgi_names", ["a", ["b"]], "asgi_names[1] is the list ['b'] -> give a text"),
        ("asgi_ports", [80, "443"], "asgi_ports[1] is the text '443' -> give a number"),
        ("asgi_source", {"depth": "1"}, "asgi_source.depth is the text '1' -> give a number"),
        ("asgi_static", [{"url": "/a/", "max_age": "1"}], "asgi_static[0].max_age is the text '1' -> give a number"),
        (
            "asgi_static",
            [{"url": "/a/", "max_age": None}],
            "asgi_static[0].max_age is null -> leave it out for the default, or give a value",
        ),
    ],
)
def test_elements_and_suboptions_too(name, value, told):
    good, (problem,) = typed(SPEC, {name: value})
    assert f"{problem.variable} {problem.fault} -> {problem.remedy}" == told
    assert good == {}
