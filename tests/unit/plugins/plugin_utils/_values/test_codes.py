# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every problem code is used and documented, and has exactly one meaning."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import error_codes
import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor import codes as doctor
from ansible_collections.asgi.deploy.plugins.plugin_utils._values import codes as values
from ansible_collections.asgi.deploy.plugins.plugin_utils._values import host_codes as hosts

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"
CODES = {**values.CODES, **doctor.CODES, **hosts.CODES}
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")
# Classes and functions whose first argument is a code.
REPORTERS = {
    "Problem",
    "Doubt",
    "AppDoubt",
    "SourceError",
    "WheelError",
    "Fault",
    "kind",
    "line",
    "fail",
    "warn",
    "report",
}


def trees():
    for path in PLUGINS.rglob("*.py"):
        if path.name != "codes.py":
            yield path, ast.parse(path.read_text())


def test_every_code_is_used():
    literals = {
        node.value
        for _path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in CODES
    }
    assert CODES.keys() - literals == set()


def test_every_reported_code_is_documented():
    reported = [
        (path.name, call.args[0].value)
        for path, tree in trees()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)
        if getattr(call.func, "id", None) in REPORTERS and SLUG.fullmatch(str(call.args[0].value))
    ]
    assert len(reported) > 200
    assert [each for each in reported if each[1] not in CODES] == []


def codes_of_errors(tree):
    """Yield the codes of exceptions: class attributes, the argument ``code``, and the last argument of an exception with a code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and [getattr(each, "id", "") for each in node.targets] == ["code"]:
            yield node.value
        elif isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
            if re.fullmatch(r"Refused|BuildError|ActivationError|failure", _name(node.func)):
                yield from node.args[1:]


def _name(function):
    return getattr(function, "attr", None) or getattr(function, "id", "")


def test_every_code_of_an_error_on_a_host_is_documented():
    found = {
        node.value
        for path, tree in trees()
        if path.relative_to(PLUGINS).parts[0] in ("modules", "module_utils")
        for node in codes_of_errors(tree)
        if isinstance(node, ast.Constant) and SLUG.fullmatch(str(node.value))
    }
    # chosen by expressions in slots.py and process_slots.py
    found |= {"app-not-healthy", "app-not-started", "process-not-started"}
    assert found == hosts.CODES.keys()


def test_every_code_has_one_meaning():
    assert len(CODES) == len(values.CODES) + len(doctor.CODES) + len(hosts.CODES)
    meanings = [entry.meaning for entry in CODES.values()]
    assert [meaning for meaning in meanings if meanings.count(meaning) > 1] == []


@pytest.mark.parametrize(("code", "entry"), CODES.items())
def test_code_is_a_slug_with_a_meaning_and_a_remedy(code, entry):
    assert SLUG.fullmatch(code)
    assert entry.meaning.endswith(".")
    assert entry.remedy
    assert not entry.remedy.endswith(".")


def test_page_is_up_to_date():
    assert error_codes.PAGE.read_text() == error_codes.page(), "run tools/error_codes.py"
