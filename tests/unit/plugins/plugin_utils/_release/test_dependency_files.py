"""Files in which a source tree declares its dependencies, and doubts about these files."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import (
    declared,
    undeclared,
    unread_locks,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

PROJECT = {"project": {"name": "x", "dependencies": ["fastapi"]}}


@pytest.mark.parametrize(
    ("files", "project", "dependencies"),
    [
        ([], {}, {"by": "nothing"}),
        (["pyproject.toml"], {"tool": {"ruff": {}}}, {"by": "nothing"}),
        (["requirements.txt"], {}, {"by": "requirements"}),
        (["requirements.txt", "pyproject.toml"], PROJECT, {"by": "requirements"}),
        (["uv.lock", "requirements.txt", "pyproject.toml"], PROJECT, {"by": "lock"}),
        (["pyproject.toml"], PROJECT, {"by": "list", "requirements": ["fastapi"]}),
        (["pyproject.toml"], {"project": {"name": "x"}}, {"by": "list", "requirements": []}),
        (["pyproject.toml"], {**PROJECT, "build-system": {}}, {"by": "project"}),
        (["pyproject.toml"], {"project": {"name": "x", "dynamic": ["dependencies"]}}, {"by": "project"}),
        (["pyproject.toml"], {"tool": {"poetry": {}}, "build-system": {}}, {"by": "project"}),
        (["setup.py"], {}, {"by": "project"}),
    ],
)
def test_kinds_of_declarations(files, project, dependencies):
    assert declared(files, project, "asgi_app_source.path") == dependencies


def test_a_lock_without_a_project_is_rejected():
    with pytest.raises(SourceError, match=r"uv\.lock without a pyproject\.toml"):
        declared(["uv.lock"], {}, "asgi_app_source.path")


@pytest.mark.parametrize("lock", ["poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pylock.web.toml"])
@pytest.mark.parametrize("by", ["lock", "requirements", "project", "list", "nothing"])
def test_an_unsupported_lock_file_is_a_doubt(lock, by):
    [(fault, remedy)] = unread_locks(["main.py", lock, f"vendor/{lock}"], by)
    assert fault.startswith(f"holds {lock}, which is ignored: ")
    assert "add it to asgi_app_exclude_extra" in remedy


@pytest.mark.parametrize("name", ["uv.lock", "yarn.lock", "package-lock.json", "requirements.txt"])
def test_other_lock_files_are_ignored(name):
    assert list(unread_locks([name], "requirements")) == []


@pytest.mark.parametrize(
    ("files", "named", "line"),
    [
        (["main.py"], None, None),
        (
            ["main.py", "requirements/base.txt", "requirements/production.txt"],
            "requirements/base.txt, requirements/production.txt",
            "requirements/production.txt",
        ),
        (
            ["requirements-dev.txt", "requirements-prod.txt"],
            "requirements-dev.txt, requirements-prod.txt",
            "requirements-prod.txt",
        ),
        (["backend/requirements.txt", "backend/main.py"], "backend/requirements.txt", "backend/requirements.txt"),
        (["Pipfile", "main.py"], "Pipfile", None),
        (["poetry.lock", "pyproject.toml"], "poetry.lock, pyproject.toml", None),
        (["environment.yml"], "environment.yml", None),
        (["a/b/c/d/requirements.txt"], None, None),
    ],
)
def test_the_doubt_about_missing_declarations_lists_candidates(files, named, line):
    fault, remedy = undeclared(files)
    assert fault.startswith("declares no dependencies, ")
    assert fault.partition("at its root")[2] == (f", only {named}" if named else "")
    assert (f"with the line `-r {line}`" in remedy) if line else ("-r " not in remedy)
    assert "asgi_app_requirements" in remedy
