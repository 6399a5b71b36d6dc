"""Checks of the variables that every role shares."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.shared import problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context


def codes(**options):
    good = {"asgi_name": "hello", "asgi_module": "main:app", "asgi_env": {"A": "x"}}
    found = problems(Context(options={**good, **options}, find=None))
    return [(problem.variable, problem.code) for problem in found]


def faults(**options):
    return [variable for variable, _code in codes(**options)]


@pytest.mark.parametrize("module", ["main:app", "shop.web.main:app", "main:factory.app", "main:create(1, a='b')"])
def test_import_paths_are_accepted(module):
    assert faults(asgi_module=module) == []


@pytest.mark.parametrize(
    "module", ["main", "main.py", "main:", ":app", "main:create(x)", "main:app;x", "a/b:app", "a..b:c"]
)
def test_invalid_import_paths_are_rejected(module):
    assert faults(asgi_module=module) == ["asgi_module"]


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("asgi_name", "a/b", "app-name-invalid"),
        ("asgi_env", {"A B": 1}, "environment-invalid"),
        ("asgi_env", {"A": []}, "environment-invalid"),
        ("asgi_module", "main", "import-path-invalid"),
        ("asgi_clients", 0, "clients-invalid"),
        ("asgi_uninstall", "other", "uninstall-name-mismatch"),
    ],
)
def test_invalid_values_are_rejected(variable, value, code):
    assert codes(**{variable: value}) == [(variable, code)]


@pytest.mark.parametrize("clients", ["auto", 1, 5000, "5000", 100000])
def test_numbers_of_clients_are_accepted(clients):
    assert faults(asgi_clients=clients) == []


@pytest.mark.parametrize("clients", [0, -1, 100001, True, 2.5, "many", "", [1000]])
def test_invalid_numbers_of_clients_are_rejected(clients):
    assert faults(asgi_clients=clients) == ["asgi_clients"]
