"""Files in which a source tree declares its dependencies, and doubts about these files."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import (
    Choice,
    declared,
    selection,
    undeclared,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

SOURCE = "asgi_app_source.path"
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


@pytest.mark.parametrize(
    ("files", "dependencies"),
    [
        (
            ["poetry.lock", "pyproject.toml", "requirements.txt"],
            {"by": "exported", "file": "poetry.lock", "install": False},
        ),
        (["pdm.lock", "pyproject.toml"], {"by": "exported", "file": "pdm.lock", "install": False}),
        (["Pipfile", "Pipfile.lock"], {"by": "exported", "file": "Pipfile.lock", "install": False}),
        (["pylock.toml"], {"by": "pylock", "file": "pylock.toml", "install": False}),
        (["uv.lock", "pyproject.toml", "pylock.web.toml"], {"by": "lock"}),
        (["uv.lock", "pyproject.toml", "vendor/poetry.lock", "yarn.lock"], {"by": "lock"}),
    ],
)
def test_a_lock_takes_precedence(files, dependencies):
    assert declared(files, {}, SOURCE) == dependencies


@pytest.mark.parametrize("files", [["uv.lock", "poetry.lock"], ["pdm.lock", "Pipfile.lock"], ["pylock.web.toml"]])
def test_a_lock_that_is_not_used_is_an_error(files):
    with pytest.raises(SourceError, match="asgi_app_source.requirements") as caught:
        declared(["pyproject.toml", "Pipfile", *files], {}, SOURCE)
    assert caught.value.code == "lock-not-used"
    assert all(name in caught.value.fault for name in files)
    chosen = declared(["pyproject.toml", "Pipfile", *files], {}, SOURCE, Choice(files=[files[-1]]))
    assert chosen["file"] == files[-1]


def test_chosen_requirements_files_take_precedence_over_locks():
    files = ["poetry.lock", "pyproject.toml", "requirements/production.txt", "requirements.txt"]
    assert declared(files, {}, SOURCE, Choice(files=files[2:3])) == {"by": "requirements", "files": files[2:3]}
    assert declared(files, {}, SOURCE, Choice(files=["./requirements.txt"])) == {"by": "requirements"}


@pytest.mark.parametrize(
    ("chosen", "code", "text"),
    [
        (["prod.txt"], "requirements-file-missing", "requirements/production.txt"),
        (["poetry.lock", "requirements/production.txt"], "requirements-file-unsupported", "one lock file"),
        (["pyproject.toml"], "requirements-file-unsupported", "neither a requirements file nor a lock"),
        (["vendor/uv.lock"], "requirements-file-unsupported", "neither a requirements file nor a lock"),
    ],
)
def test_chosen_files_are_checked(chosen, code, text):
    files = ["poetry.lock", "pyproject.toml", "requirements/production.txt", "vendor/uv.lock"]
    with pytest.raises(SourceError, match=text) as caught:
        declared(files, {}, SOURCE, Choice(files=chosen))
    assert caught.value.code == code


SELECTABLE = {
    "project": {
        "name": "Shop.App",
        "dependencies": ["fastapi"],
        "optional-dependencies": {"postgres": ["psycopg"], "All": ["shop-app[postgres]", "redis"]},
    },
    "dependency-groups": {"web": ["jinja2", {"include-group": "base"}], "base": ["click"]},
}


@pytest.mark.parametrize(
    "tool", [{"uv": {"dev-dependencies": ["six"]}}, {"poetry": {"dev-dependencies": {"six": "*"}}}]
)
def test_development_dependencies_are_the_group_dev(tool):
    project = {**PROJECT, "tool": tool}
    assert declared(["pyproject.toml"], project, SOURCE, Choice(groups=["dev"]))["requirements"] == ["fastapi", "six"]


def test_an_application_whose_dependencies_are_in_a_file():
    project = {
        "project": {"name": "x", "dynamic": ["dependencies"]},
        "build-system": {},
        "tool": {"setuptools": {"dynamic": {"dependencies": {"file": ["base.in"]}}}},
    }
    files = ["pyproject.toml", "base.in", "app/main.py", "static/x.css"]
    assert declared(files, project, SOURCE) == {"by": "requirements", "files": ["base.in"]}
    assert declared(files[:3], project, SOURCE) == {"by": "project"}


def test_groups_and_extras_without_a_lock():
    choice = Choice(groups=["Web"], extras=["ALL"])
    assert declared(["pyproject.toml"], SELECTABLE, SOURCE, choice) == {
        "by": "list",
        "requirements": ["fastapi", "psycopg", "redis", "jinja2", "click"],
        "groups": ["Web"],
        "extras": ["ALL"],
    }
    built = {**SELECTABLE, "build-system": {}}
    assert declared(["pyproject.toml", "shop_app/main.py"], built, SOURCE, choice) == {
        "by": "project",
        "requirements": ["jinja2", "click"],
        "groups": ["Web"],
        "extras": ["ALL"],
    }


@pytest.mark.parametrize(
    ("files", "choice", "text"),
    [
        (["pyproject.toml"], {"groups": ["production"]}, "asgi_app_groups contains 'production', .* defines web, base"),
        (["pyproject.toml", "uv.lock"], {"extras": ["x"]}, "asgi_app_extras contains 'x', .* defines postgres, All"),
        (["requirements.txt", "pyproject.toml"], {"extras": ["postgres"]}, r"requirements\.txt has neither"),
        (["Pipfile", "Pipfile.lock"], {"extras": ["postgres"]}, "has no extras"),
        (["Pipfile", "Pipfile.lock"], {"groups": ["web --dev"]}, "names consist of"),
        (["setup.py"], {"extras": ["a] @ http://files.example/x"]}, "names consist of"),
    ],
)
def test_unknown_groups_and_extras(files, choice, text):
    with pytest.raises(SourceError, match=text):
        declared(files, SELECTABLE, SOURCE, Choice(**choice))


POETRY = {
    "tool": {
        "poetry": {
            "package-mode": False,
            "dependencies": {"python": ">=3.11", "idna": "^3.7", "redis": {"version": "*", "optional": True}},
            "group": {"web": {"dependencies": {"jinja2": "~3.1"}}},
            "extras": {"cache": ["redis"]},
        }
    },
    "build-system": {"build-backend": "poetry.core.masonry.api"},
}


def test_dependencies_of_a_poetry_application():
    assert declared(["pyproject.toml"], POETRY, SOURCE) == {
        "by": "list",
        "requirements": ["idna>=3.7,<4"],
        "tool": "poetry",
    }
    found = declared(["pyproject.toml"], POETRY, SOURCE, Choice(groups=["web"], extras=["cache"]))
    assert found["requirements"] == ["idna>=3.7,<4", "redis", "jinja2>=3.1,<3.2"]


@pytest.mark.parametrize(
    ("files", "project", "install", "dependencies"),
    [
        (["pyproject.toml"], POETRY, "true", {"by": "project"}),
        (
            ["pyproject.toml", "app/x.py"],
            {**PROJECT, "build-system": {}},
            "false",
            {"by": "list", "requirements": ["fastapi"]},
        ),
        (["pyproject.toml", "uv.lock"], PROJECT, "false", {"by": "lock", "install": False}),
        (["pyproject.toml", "uv.lock"], {"tool": {"uv": {"package": False}}}, "auto", {"by": "lock", "install": False}),
        (
            ["pyproject.toml", "poetry.lock", "shop/main.py"],
            {"tool": {"poetry": {"name": "shop"}}, "build-system": {"build-backend": "poetry.core.masonry.api"}},
            "auto",
            {"by": "exported", "file": "poetry.lock", "install": True},
        ),
        (["pyproject.toml", "requirements.txt"], PROJECT, "true", {"by": "requirements", "install": True}),
        (["pyproject.toml"], PROJECT, "editable", {"by": "project", "install": "editable"}),
        (["pyproject.toml", "uv.lock"], PROJECT, "editable", {"by": "lock", "install": "editable"}),
    ],
)
def test_whether_the_project_is_installed(files, project, install, dependencies):
    assert declared(files, project, SOURCE, Choice(install=install)) == dependencies


@pytest.mark.parametrize(
    ("files", "project", "install", "code"),
    [
        (["setup.py"], {}, "false", "project-not-installed"),
        (["requirements.txt"], {}, "true", "project-missing"),
    ],
)
def test_whether_the_project_can_be_installed(files, project, install, code):
    with pytest.raises(SourceError) as caught:
        declared(files, project, SOURCE, Choice(install=install))
    assert (caught.value.variable, caught.value.code) == ("asgi_app_install_project", code)


@pytest.mark.parametrize(
    ("dependencies", "found"),
    [
        ({"by": "lock"}, {}),
        ({"by": "requirements", "hashed": True}, {}),
        ({"by": "list", "requirements": ["fastapi"]}, {}),
        ({"by": "lock", "extras": ["x"]}, {"by": "lock", "extras": ["x"]}),
        ({"by": "exported", "file": "pdm.lock", "lines": ["a==1"]}, {"by": "exported", "file": "pdm.lock"}),
    ],
)
def test_only_new_selections_are_part_of_the_id(dependencies, found):
    assert selection(dependencies) == found


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
    assert (f"asgi_app_source.requirements to [{line}]" in remedy) == bool(line)
    assert "asgi_app_requirements" in remedy


@pytest.mark.parametrize(
    ("files", "subdirectory", "directory"),
    [
        (["main.py", "frontend/package.json", "backend/requirements.txt"], "", "backend"),
        (["api/pyproject.toml"], "services", "services/api"),
        (["requirements/base.txt", "backend/poetry.lock"], "", "backend"),
        (["requirements/requirements.txt"], "", None),
        (["backend/requirements-dev.txt"], "", None),
        (["Pipfile"], "", None),
    ],
)
def test_directory_of_another_project_is_suggested(files, subdirectory, directory):
    _fault, remedy = undeclared(files, subdirectory)
    suggestion = f"if the app is in {directory}, set asgi_app_source.subdirectory to it; otherwise, "
    assert remedy.startswith(suggestion) if directory else "subdirectory" not in remedy
