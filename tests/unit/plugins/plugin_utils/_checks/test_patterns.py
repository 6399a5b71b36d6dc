# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for regular expressions that validate values of an inventory.

``$`` also matches before a trailing line feed, ``match()`` ignores trailing text, and ``\\d``, ``\\w``, ``isdigit()`` and
``isdecimal()`` accept the digits and letters of all scripts.
"""

from __future__ import annotations

import ast
from pathlib import Path
from re import _parser as sre

import pytest

PLUGIN_UTILS = Path(__file__).resolve().parents[5] / "plugins/plugin_utils"
FILES = sorted(path for folder in ("_checks", "_render", "_values") for path in (PLUGIN_UTILS / folder).glob("*.py"))
# Patterns that need to match only the start of a value.
PREFIXES = {"REQUIREMENT_NAME"}


def faults(source):
    """Yield the line and the fault of each regular expression in *source* that accepts more than intended."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        if name in ("isdigit", "isdecimal", "isnumeric", "isalpha", "isalnum"):
            yield node.lineno, f"{name}() accepts characters of all scripts: use numbers.whole()"
        elif name == "match" and owner not in PREFIXES:
            yield node.lineno, "match() ignores what follows: use fullmatch()"
        elif owner == "re" and node.args and isinstance(node.args[0], ast.Constant):
            yield from pattern_faults(node)


def pattern_faults(node):
    pattern, flags = node.args[0].value, " ".join(ast.unparse(each) for each in node.args[1:])
    found = set(operations(sre.parse(pattern)))
    if found & {"CATEGORY_DIGIT", "CATEGORY_WORD"} and "ASCII" not in flags:
        yield node.lineno, f"{pattern} accepts characters of all scripts: use [0-9], or re.ASCII"
    if "AT_END" in found:
        yield node.lineno, f"{pattern} has a $, which matches before a line end: use fullmatch() or \\Z"


def operations(parsed):
    """Yield the names of all nodes of the parsed regular expression, including groups and alternatives."""
    if isinstance(parsed, (tuple, list, sre.SubPattern)):
        for each in parsed:
            yield from operations(each)
    elif isinstance(parsed, type(sre.AT_END)):
        yield parsed.name


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_regular_expressions_are_strict(path):
    assert list(faults(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "text.isdigit()",
        "PATTERN.match(text)",
        "re.match(r'a', text)",
        r"re.compile(r'\d+')",
        r"re.compile(r'(?:a|[b\w])')",
        r"re.compile('a$')",
        r"re.compile('(?:a|(?=b$))')",
    ],
)
def test_lax_expression_is_detected(source):
    assert list(faults(source)) != []


@pytest.mark.parametrize(
    "source", [r"re.compile(r'\$[0-9]\Z|[$]')", r"re.compile(r'\w', re.ASCII)", "PATTERN.fullmatch(text)"]
)
def test_strict_expression_is_accepted(source):
    assert list(faults(source)) == []
