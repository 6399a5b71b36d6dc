"""The versions of Python that an app accepts, from asgi_app_python and the files of its source."""

from __future__ import annotations

import tomllib

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import VERSIONS
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.python_request import (
    declared_pythons,
    python_request,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError


def newest(minor):
    return f"{minor}.{VERSIONS[minor][-1]}"


def poetry(constraint):
    return f"[tool.poetry.dependencies]\npython = {constraint}"


@pytest.mark.parametrize(
    ("project", "version_file", "accepts"),
    [
        ("", "", []),
        ("[project]\nname = 'x'", "", []),
        ("[project]\nrequires-python = '>=3.12'", "", [[">=3.12"]]),
        ("", "3.12\n", [["==3.12.*"]]),
        ("", "3.12.4\n", [["==3.12.*"]]),
        ("", "# comment\ncpython@3.13\n", [["==3.13.*"]]),
        ("", "system\n3.11.7\n", [["==3.11.*"]]),
        ("", "shop-env", []),
        ("", "pypy3.10", []),
        ("[project]\nrequires-python = '>=3.12'", "3.13", [[">=3.12"], ["==3.13.*"]]),
        (poetry("'^3.10'"), "", [[">=3.10,<4"]]),
        (poetry("'~3.10'"), "", [[">=3.10,<3.11"]]),
        (poetry("'~3.10.2'"), "", [[">=3.10.2,<3.11"]]),
        (poetry("'>=3.9, <3.13'"), "", [[">=3.9,<3.13"]]),
        (poetry("'>= 3.9 <3.13'"), "", [[">=3.9,<3.13"]]),
        (poetry("'3.11.*'"), "", [["==3.11.*"]]),
        (poetry("'3.11'"), "", [["==3.11.*"]]),
        (poetry("'3.11.4'"), "", [["==3.11.4"]]),
        (poetry("'*'"), "", [[""]]),
        (poetry("'~3.9 || ^3.12'"), "", [[">=3.9,<3.10", ">=3.12,<4"]]),
        (poetry("{version = '^3.10'}"), "", [[">=3.10,<4"]]),
        ("[project]\nrequires-python = 3", "", []),
        ("tool = 1", "", []),
    ],
)
def test_declarations_of_a_source(project, version_file, accepts):
    found = declared_pythons(tomllib.loads(project), version_file.encode(), "asgi_app_source.path")
    assert [each for _origin, each in found] == accepts


@pytest.mark.parametrize(
    ("pipfile", "accepts"),
    [
        ("[requires]\npython_version = '3.12'", [["==3.12.*"]]),
        ("[requires]\npython_version = '3'", [["==3.*"]]),
        ("[requires]\npython_full_version = '3.12.1'", []),
        ("[packages]\nsix = '*'", []),
        ("", []),
    ],
)
def test_declarations_of_a_pipfile(pipfile, accepts):
    found = declared_pythons({}, b"", "asgi_app_source.path", pipfile.encode())
    assert [each for _origin, each in found] == accepts


def test_an_invalid_pipfile_is_reported():
    with pytest.raises(SourceError, match="asgi_app_source.path holds a Pipfile that is not valid"):
        declared_pythons({}, b"", "asgi_app_source.path", b"[requires")


@pytest.mark.parametrize(
    ("project", "fault"),
    [
        ("[project]\nrequires-python = '3.12'", "requires-python = '3.12': '3.12' is not a version specifier"),
        ("[project]\nrequires-python = '>=3.7.*'", "'>=3.7.*' is not a version specifier: write '>=3.7'"),
        (poetry("'three'"), "'three' is not a version constraint"),
    ],
)
def test_invalid_declarations_are_reported(project, fault):
    with pytest.raises(SourceError, match=rf"asgi_app_source.path holds a pyproject.toml that is not valid: .*{fault}"):
        declared_pythons(tomllib.loads(project), b"", "asgi_app_source.path")


@pytest.mark.parametrize("python", ["python3", "python3.12", "/usr/bin/python3.12", "pypy3"])
def test_a_program_is_not_a_request(python):
    assert python_request(python, [["", [">=3.99"]]], "uv") is None


@pytest.mark.parametrize(
    ("python", "declared", "installer", "accepts", "managed"),
    [
        ("auto", [], "uv", [""], ""),
        ("auto", [[">=3.9"]], "uv", [">=3.9"], ""),
        ("auto", [[">=3.12"]], "uv", [">=3.12"], newest("3.12")),
        ("auto", [[">=3.12"], ["==3.13.*"]], "uv", [">=3.12,==3.13.*"], newest("3.13")),
        ("auto", [[">=3.9,<3.10", ">=3.12,<4"], [""]], "uv", [">=3.9,<3.10", ">=3.12,<4"], newest("3.12")),
        ("auto", [[">=3.12"]], "pip", [">=3.12"], ""),
        ("3", [[">=3.12"]], "uv", ["==3.*"], ""),
        ("3.13", [[">=3.99"]], "uv", ["==3.13.*"], newest("3.13")),
        ("3.13.1", [], "uv", ["==3.13.1"], "3.13.1"),
    ],
)
def test_requests(python, declared, installer, accepts, managed):
    found = python_request(python, [["the source", each] for each in declared], installer)
    assert (list(found.accepts), found.managed) == (accepts, managed)


@pytest.mark.parametrize(
    ("python", "declared", "message"),
    [
        (
            "3.1",
            [],
            "asgi_app_python is '3.1', and uv .* has no matching version of CPython -> set a version .* in quotes",
        ),
        (
            "auto",
            [["requires-python = '>=3.13'", [">=3.13"]], ["3.12 in .python-version", ["==3.12.*"]]],
            "asgi_app_source declares requires-python = '>=3.13' and 3.12 in .python-version, and uv",
        ),
    ],
)
def test_a_python_that_does_not_exist_is_reported(python, declared, message):
    with pytest.raises(SourceError, match=message):
        python_request(python, declared, "uv")
