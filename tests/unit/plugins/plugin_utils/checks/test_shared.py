"""Checks of the variables that every role shares."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.shared import problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context


def faults(**options):
    good = {"asgi_name": "hello", "asgi_module": "main:app", "asgi_env": {"A": "x"}}
    return [problem.variable for problem in problems(Context(options={**good, **options}, find=None))]


@pytest.mark.parametrize("module", ["main:app", "shop.web.main:app", "main:factory.app", "_a:_b"])
def test_good_modules(module):
    assert faults(asgi_module=module) == []


@pytest.mark.parametrize(
    "module", ["main", "main.py", "main:", ":app", "main:create()", "main:app;x", "a/b:app", "a..b:c"]
)
def test_modules_that_nothing_can_import(module):
    assert faults(asgi_module=module) == ["asgi_module"]


@pytest.mark.parametrize(
    ("variable", "value"), [("asgi_name", "a/b"), ("asgi_env", {"A B": 1}), ("asgi_env", {"A": []})]
)
def test_the_others(variable, value):
    assert faults(**{variable: value}) == [variable]
