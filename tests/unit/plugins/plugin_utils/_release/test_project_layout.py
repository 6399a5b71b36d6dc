"""Projects that are applications and not packages."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.project_layout import application_reason


def project(backend, name="my-shop", **tools):
    return {"project": {"name": name}, "build-system": {"build-backend": backend}, "tool": tools}


@pytest.mark.parametrize(
    ("backend", "tools", "files", "package"),
    [
        ("poetry.core.masonry.api", {}, ["main.py"], False),
        ("poetry.core.masonry.api", {}, ["my_shop/main.py"], True),
        ("poetry.core.masonry.api", {}, ["src/My_Shop/main.py"], True),
        ("poetry.core.masonry.api", {}, ["my_shop.py"], True),
        ("poetry.core.masonry.api", {"poetry": {"packages": [{"include": "app"}]}}, ["app/main.py"], True),
        ("hatchling.build", {}, ["app/__init__.py"], False),
        ("hatchling.build", {}, ["src/my_shop/__init__.py"], True),
        ("hatchling.build", {}, ["my_shop/main.py"], False),
        ("hatchling.build", {"hatch": {"build": {"packages": ["app"]}}}, ["app/__init__.py"], True),
        ("flit_core.buildapi", {}, ["my_shop/__init__.py"], True),
        ("flit_core.buildapi", {}, ["app/__init__.py"], False),
        ("flit_core.buildapi", {"flit": {"module": {"name": "app"}}}, ["app/__init__.py"], True),
        ("uv_build", {}, ["src/my_shop/__init__.py"], True),
        ("uv_build", {}, ["main.py"], False),
        ("uv_build", {"uv": {"build-backend": {"module-root": ""}}}, ["my_shop/__init__.py"], True),
        ("setuptools.build_meta", {}, ["app/main.py", "static/x.css", "main.py"], False),
        ("setuptools.build_meta", {}, ["app/main.py", "tests/test_x.py", "docs/x.md", ".github/x.yml"], True),
        ("setuptools.build_meta", {}, ["main.py"], True),
        ("setuptools.build_meta", {}, ["main.py", "models.py", "conftest.py"], False),
        ("setuptools.build_meta", {}, ["src/app/main.py", "static/x.css", "templates/x.html"], True),
        ("setuptools.build_meta", {}, ["setup.py", "app/main.py", "static/x.css"], True),
        ("setuptools.build_meta", {"setuptools": {"packages": ["app"]}}, ["app/main.py", "static/x.css"], True),
        ("maturin", {}, ["main.py"], True),
    ],
)
def test_whether_a_build_backend_finds_a_package(backend, tools, files, package):
    reason = application_reason(project(backend, **tools), files)
    assert (reason == "") == package, reason


@pytest.mark.parametrize(
    "tools",
    [{"poetry": {"package-mode": False}}, {"pdm": {"distribution": False}}, {"uv": {"package": False}}],
)
def test_projects_that_their_tool_does_not_install(tools):
    assert application_reason(project("hatchling.build", **tools), ["my_shop/__init__.py"]).endswith("is false")


def test_a_project_without_a_build_system_has_no_backend():
    assert application_reason({"project": {"name": "x"}}, ["main.py"]) == ""
