# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect projects that are applications: their tool does not install them, or their build backend would find no package to build."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import Any

# Directories and modules at the root that setuptools ignores in its automatic discovery.
_NO_PACKAGES = (
    "ci bin debian doc docs documentation manpages news newsfragments changelog test tests unit_test unit_tests example examples "
    "scripts tools util utils python build benchmark benchmarks exercise exercises htmlcov tasks fabfile site_scons [._]*"
).split()
_NO_MODULES = (
    "setup conftest test tests example examples build toxfile noxfile pavement dodo tasks fabfile [Ss][Cc]onstruct conanfile manage "
    "benchmark benchmarks exercise exercises [._]*"
).split()


def application_reason(project: dict[str, Any], files: Sequence[str]) -> str:
    """Return why a project with this pyproject.toml and these *files* is not installed itself; empty if it is a package."""
    tools = _table(project.get("tool"))
    for tool, key in (("poetry", "package-mode"), ("pdm", "distribution"), ("uv", "package")):
        if _table(tools.get(tool)).get(key) is False:
            return f"tool.{tool}.{key} is false"
    if "build-system" not in project:
        return ""
    backend = str(_table(project["build-system"]).get("build-backend", "setuptools.build_meta")).partition(":")[0]
    find = _BACKENDS.get(backend)
    if find is None or find(project, tools, files):
        return ""
    return f"{backend} would find no package to build"


def _poetry(project: dict[str, Any], tools: dict[str, Any], files: Sequence[str]) -> bool:
    settings = _table(tools.get("poetry"))
    return bool({"packages", "include", "build"} & settings.keys()) or _has_module(_name(project, tools), files)


def _hatchling(project: dict[str, Any], tools: dict[str, Any], files: Sequence[str]) -> bool:
    if "build" in _table(tools.get("hatch")) or "hatch_build.py" in files or "hatch.toml" in files:
        return True
    name = _module_name(_name(project, tools))
    wanted = re.compile(rf"(?:src/|[^/]+/)?{re.escape(name)}/__init__\.py|{re.escape(name)}\.py")
    return any(wanted.fullmatch(file.lower()) for file in files)


def _flit(project: dict[str, Any], tools: dict[str, Any], files: Sequence[str]) -> bool:
    module = _table(_table(tools.get("flit")).get("module")).get("name")
    return _has_module(str(module or _name(project, tools)).replace(".", "/"), files)


def _uv(project: dict[str, Any], tools: dict[str, Any], files: Sequence[str]) -> bool:
    if "build-backend" in _table(tools.get("uv")):
        return True
    package = f"src/{_module_name(_name(project, tools))}/__init__.py"
    return any(file.lower() == package for file in files)


def _setuptools(_project: dict[str, Any], tools: dict[str, Any], files: Sequence[str]) -> bool:
    settings = _table(tools.get("setuptools"))
    if {"packages", "py-modules", "package-dir", "ext-modules"} & settings.keys():
        return True
    if any(file in ("setup.py", "setup.cfg") or file.startswith("src/") for file in files):
        return True
    packages = {file.partition("/")[0] for file in files if "/" in file}
    packages = _discovered(packages, _NO_PACKAGES)
    if packages:
        return len(packages) == 1
    # setuptools rejects several modules, and builds an empty package without any.
    return len(_discovered({file[:-3] for file in files if file.endswith(".py") and "/" not in file}, _NO_MODULES)) <= 1


def _discovered(names: Collection[str], ignored: Sequence[str]) -> list[str]:
    return [name for name in names if name.isidentifier() and not any(fnmatchcase(name, each) for each in ignored)]


_BACKENDS = {
    "poetry.core.masonry.api": _poetry,
    "poetry.masonry.api": _poetry,
    "hatchling.build": _hatchling,
    "flit_core.buildapi": _flit,
    "uv_build": _uv,
    "setuptools.build_meta": _setuptools,
}


def _has_module(name: str, files: Sequence[str]) -> bool:
    """Return whether *files* contain the package or the module *name*, at the root or in src."""
    if not name:
        return False
    module = _module_name(name)
    wanted = [f"{base}{module}" for base in ("", "src/")]
    return any(file.lower() == f"{each}.py" or file.lower().startswith(f"{each}/") for file in files for each in wanted)


def _name(project: dict[str, Any], tools: dict[str, Any]) -> str:
    return str(_table(project.get("project")).get("name") or _table(tools.get("poetry")).get("name") or "")


def _module_name(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
