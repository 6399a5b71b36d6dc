"""Requirements for the dependencies in [tool.poetry.dependencies]."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.poetry_dependencies import (
    PoetryError,
    poetry_requirements,
    specifier,
)
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.25", ">=0.25,<0.26"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("^2.0b1", ">=2.0b1,<3"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.4", "~=1.4"),
        ("1.2.*", "==1.2.*"),
        ("!=1.2.*", "!=1.2.*"),
        ("*", ""),
        ("1.2.3", "==1.2.3"),
        (">= 1.2, <2.0", ">=1.2,<2.0"),
        (">=1.2 <2.0", ">=1.2,<2.0"),
    ],
)
def test_version_constraints(constraint, expected):
    assert specifier(constraint, "x") == expected
    SpecifierSet(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"version": "^0.25", "extras": ["standard"]}, "x[standard]>=0.25,<0.26"),
        ({"version": "^1", "markers": "sys_platform == 'linux'"}, "x>=1,<2 ; (sys_platform == 'linux')"),
        ({"version": "*", "python": "^3.11"}, "x ; python_version >= '3.11' and python_version < '4'"),
        ({"git": "https://git.example/x.git", "tag": "v1"}, "x @ git+https://git.example/x.git@v1"),
        (
            {"git": "git@git.example:me/x.git", "subdirectory": "a"},
            "x @ git+ssh://git@git.example/me/x.git#subdirectory=a",
        ),
        ({"url": "https://files.example/x.whl"}, "x @ https://files.example/x.whl"),
        ({"path": "lib/x", "develop": True}, "./lib/x"),
    ],
)
def test_tables(value, expected):
    [line] = poetry_requirements({"x": value})
    assert line == expected
    if not line.startswith("."):
        Requirement(line)


def test_several_constraints_and_optional_dependencies():
    table = {
        "python": "^3.11",
        "x": [{"version": "<2", "python": "<3.12"}, {"version": ">=2", "python": ">=3.12"}],
        "Pretty.Name": {"version": "*", "optional": True},
    }
    x = ["x<2 ; python_version < '3.12'", "x>=2 ; python_version >= '3.12'"]
    assert poetry_requirements(table) == x
    assert poetry_requirements(table, {"pretty-name"}) == [*x, "Pretty.Name"]
    assert poetry_requirements(table, every=True) == [*x, "Pretty.Name"]


@pytest.mark.parametrize("value", ["^1 || ^3", 3, "latest", {"file": "x.whl"}, {"version": "^^1"}])
def test_dependencies_without_an_equivalent(value):
    with pytest.raises(PoetryError, match="the poetry dependency x"):
        poetry_requirements({"x": value})
