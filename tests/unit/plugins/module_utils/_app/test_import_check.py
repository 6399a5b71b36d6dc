"""The import check runs in the environment and the sandbox of a slot."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import import_check
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError
from ansible_collections.asgi.deploy.plugins.module_utils._app.import_check import check_import
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import properties, transient
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import app_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import Finished, TimedOut
from app_homes import RECIPE

VENV, CODE = Path("/release/.venv"), Path("/release/code")


class Unit:
    """A fake transient unit that records its arguments; *result* is the result of its program."""

    result = Finished(0, "", "")
    made: ClassVar[list] = []

    def __init__(self, name, user, sandbox):
        self.made.append(self)
        self.name, self.user, self.sandbox = name, user, sandbox

    def run(self, *arguments):
        self.arguments = arguments
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def unit(monkeypatch):
    monkeypatch.setattr(import_check, "TransientUnit", Unit)
    monkeypatch.setattr(Unit, "made", [])
    return Unit


def test_the_import_check_uses_the_environment_of_the_unit(unit):
    recipe = RECIPE._replace(environment={"STAGE": "first", "PYTHONUNBUFFERED": ""}, sandbox={"memory_max": "1G"})

    check_import(recipe, VENV, CODE)

    [made] = unit.made
    argv, directory, environment, _seconds = made.arguments
    assert (made.user, argv[0], argv[-2:], directory) == ("hello", f"{VENV}/bin/python", ["main:app", ""], str(CODE))
    slot = app_environment(layout("hello"), recipe.environment)
    assert {key: environment[key] for key in slot} == slot
    assert environment["ASGI_SHARED"] == environment["HOME"] == "/srv/hello/shared"
    assert set(environment) - set(slot) == {"PATH"}
    assert made.sandbox == transient(properties("hello", {"memory_max": "1G"}))


@pytest.mark.parametrize(("call_factory", "target"), [(True, "main:create()"), (False, "main:create")])
def test_the_factory_is_called_unless_a_hook_runs_first(unit, call_factory, target):
    check_import(RECIPE._replace(module="main:create()", call_factory=call_factory), VENV, CODE)

    [made] = unit.made
    assert made.arguments[0][-3:] == ["main:create()", target, ""]


def test_the_app_creates_the_directories_of_its_shared_paths(unit):
    source = {"kind": "path", "shared": ["db.sqlite3", "media/", "var/lib/db"]}
    check_import(RECIPE._replace(source=source), VENV, CODE)

    [made] = unit.made
    assert made.arguments[0][3:5] == ["/srv/hello/shared/media", "/srv/hello/shared/var/lib"]


def test_a_write_to_the_code_is_reported_with_the_remedy(unit, monkeypatch):
    error = "OSError: [Errno 30] Read-only file system: '/srv/hello/releases/a/code/instance'"
    monkeypatch.setattr(unit, "result", Finished(1, "", error))
    with pytest.raises(
        BuildError, match=r"cannot write to '/srv/hello/releases/a/code/instance': .*asgi_app_source\.shared"
    ):
        check_import(RECIPE, VENV, CODE)


@pytest.mark.parametrize(
    ("missing", "hint"),
    [
        ("shop", "the directory src of the code contains shop: set PYTHONPATH to src in asgi_env"),
        ("tool", "the directory lib of the code contains tool: set PYTHONPATH to lib in asgi_env"),
        ("pkg_resources", "add setuptools<81 to asgi_app_requirements"),
        ("shop.models", ""),
        ("django", ""),
    ],
)
def test_a_missing_module_is_reported_with_the_remedy(unit, monkeypatch, tmp_path, missing, hint):
    (tmp_path / "src/shop").mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/tool.py").touch()
    monkeypatch.setattr(unit, "result", Finished(1, "", f"ModuleNotFoundError: No module named {missing!r}"))
    with pytest.raises(BuildError) as caught:
        check_import(RECIPE, VENV, tmp_path)
    assert str(caught.value).endswith(hint or f"{missing!r}")


def test_a_missing_sandbox_path_is_reported(unit):
    with pytest.raises(BuildError, match="asgi_server_read_paths contains '/no-such/path'"):
        check_import(RECIPE._replace(sandbox={"read_paths": ["/usr", "/no-such/path"]}), VENV, CODE)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Finished(1, "", "KeyError: 'X'\n"), "(?s)asgi_module.*does not import as the account hello.*KeyError: 'X'"),
        (
            Finished(3, "", "loud\n\nasgi_deploy: main:App is a class\n"),
            "^asgi_module is not an application: main:App is a class$",
        ),
        (Finished(3, "", "ended by the app\n"), "does not import"),
        (TimedOut(), "was not imported within"),
    ],
)
def test_a_failed_or_hanging_import_is_reported(unit, monkeypatch, result, message):
    monkeypatch.setattr(unit, "result", result)
    with pytest.raises(BuildError, match=message):
        check_import(RECIPE, VENV, CODE)


def test_a_failure_names_packages_that_the_sandbox_denies_executable_memory(unit, monkeypatch):
    monkeypatch.setattr(unit, "result", Finished(1, "", "OSError: cannot allocate executable memory\n"))
    with pytest.raises(BuildError, match=r"executable memory\n.*numba .*MemoryDenyWriteExecute: false"):
        check_import(RECIPE, VENV, CODE, ["numba", "numpy"])


def test_the_app_is_imported_in_its_working_directory(unit):
    check_import(RECIPE._replace(sandbox={"working_directory": "shared/data"}), VENV, CODE)
    [made] = unit.made
    argv, directory, _environment, _seconds = made.arguments
    assert (argv[-1], directory) == ("/srv/hello/shared/data", str(CODE))
