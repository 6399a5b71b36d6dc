"""The environment of the installers on a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_environment import (
    CA_VARIABLES,
    installer_environment,
)
from app_homes import RECIPE

CACHE, TEMPORARY, CA_BUNDLE = (Path("/build") / name for name in ("cache", "tmp", "ca-bundle.pem"))


def environment(**changes):
    return installer_environment(RECIPE._replace(**changes), Path("/build/python"), CACHE, TEMPORARY, CA_BUNDLE)


def test_the_index_and_the_build_environment_are_passed():
    url = "https://user:secret@index.example/simple"
    found = environment(index_url=url, build_environment={"UV_X": "1"})
    assert found["UV_DEFAULT_INDEX"] == found["PIP_INDEX_URL"] == url
    assert found["UV_X"] == "1"


def test_source_sets_variables_of_its_build_backend():
    source = {**RECIPE.source, "variables": {"PDM_BUILD_SCM_VERSION": "1.2.0"}}
    assert environment(source=source)["PDM_BUILD_SCM_VERSION"] == "1.2.0"
    assert environment(source=source, build_environment={"PDM_BUILD_SCM_VERSION": "2"})["PDM_BUILD_SCM_VERSION"] == "2"


def test_the_environment_of_ansible_is_not_inherited(monkeypatch):
    for name in (
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "UV_PROJECT_ENVIRONMENT",
        "PIP_TARGET",
        "HOME",
        "SSH_AUTH_SOCK",
        "AWS_SECRET",
    ):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("no_proxy", "localhost")
    found = environment()
    assert found["UV_PYTHON_DOWNLOADS"] == "never"
    assert found["HTTPS_PROXY"] == "http://proxy.example"
    assert found["no_proxy"] == "localhost"
    assert "/elsewhere" not in found.values()


def test_packages_are_compiled_outside_of_tmp(monkeypatch):
    """A hardened host mounts /tmp and /var/tmp noexec."""
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert environment()["TMPDIR"] == environment()["HOME"] == str(TEMPORARY)


def test_releases_share_no_files_with_the_cache():
    """With hard links, the build account could change a file of a release through the cache."""
    found = environment(build_environment={"UV_LINK_MODE": "hardlink"})
    assert found["UV_LINK_MODE"] == "copy"
    assert found["UV_CACHE_DIR"] == f"{CACHE}/uv"
    assert found["PIP_CACHE_DIR"] == f"{CACHE}/pip"


@pytest.mark.parametrize("wheelhouse", [False, True])
def test_a_build_from_wheels_ignores_the_configuration_of_the_host(wheelhouse):
    offline = {"UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": "/dev/null"}
    found = environment(wheelhouse=wheelhouse)
    assert {key: found.get(key) for key in offline} == (offline if wheelhouse else dict.fromkeys(offline))
    bundles = {found.get(name) for name in CA_VARIABLES}
    assert bundles == ({None} if wheelhouse else {str(CA_BUNDLE)})
