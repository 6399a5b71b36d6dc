"""The packages of the table work in the sandbox, or fail with the documented error until executable memory is allowed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import PACKAGES as ERRORS

PACKAGES = runpy.run_path(str(Path(__file__).parents[1] / "apps/tries/packages.py"))["PACKAGES"]
SMALL = [name for name, row in PACKAGES.items() if row.small]
LARGE = [name for name in PACKAGES if name not in SMALL]
DENIED = [name for name, row in PACKAGES.items() if row.executable_memory]

EVERYTHING = {
    "asgi_app_requirements": sorted(
        {
            word
            for name in LARGE
            for word in (name if PACKAGES[name].requirements is None else PACKAGES[name].requirements).split()
        }
    ),
    "asgi_app_packages": sorted({word for row in PACKAGES.values() for word in row.debian.split()}),
}


def check(name: str, result: dict) -> None:
    if not PACKAGES[name].executable_memory:
        assert result["status"] == 0, result["output"]
    else:
        assert result["status"] != 0
        assert ERRORS.get(name, "write+execute") in result["output"]


@pytest.mark.smoke
@pytest.mark.parametrize("name", SMALL)
def test_a_small_package(attempt, name):
    check(name, attempt(name))


@pytest.fixture(scope="module")
def everything(playbook) -> str:
    """Deploy a release with all packages; return the output of the playbook."""
    return playbook.succeeds("deploy", **EVERYTHING)


@pytest.mark.long
@pytest.mark.parametrize("name", LARGE)
def test_a_large_package(everything, attempt, name):
    check(name, attempt(name))


@pytest.mark.long
def test_a_deploy_warns_about_packages_that_are_denied_executable_memory(everything):
    assert 'numba ("cannot allocate executable memory")' in " ".join(everything.split())


@pytest.fixture(scope="module")
def executable_memory(everything, playbook) -> str:
    """Allow executable memory; return the output of the playbook."""
    return playbook.succeeds("deploy", **EVERYTHING, asgi_server_unit_settings={"MemoryDenyWriteExecute": False})


@pytest.mark.long
@pytest.mark.parametrize("name", DENIED)
def test_a_denied_package_works_with_executable_memory(executable_memory, attempt, name):
    result = attempt(name)

    assert result["status"] == 0, result["output"]
