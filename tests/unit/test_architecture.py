# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports follow the map of folders in ARCHITECTURE.md: no file imports from a later folder, and there are no cycles."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "plugins"
PACKAGE = "ansible_collections.asgi.deploy.plugins."
# From low to high: a file may import from its own folder and from earlier folders.
HOST = ["_host", "_app", "_tls", "_proxy", "_command", "_balancer", "_tune"]
CONTROLLER = ["_values", "_render", "_server", "_release", "_fleet", "_tune", "_doctor", "_checks"]
LAYERS = [*(f"module_utils.{name}" for name in HOST), *(f"plugin_utils.{name}" for name in CONTROLLER)]
FILES = sorted(path for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")


def module_name(path):
    return ".".join(path.relative_to(PLUGINS).with_suffix("").parts)


def imports(path):
    """Return the modules of this collection that *path* imports, as dotted names below plugins/."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            origin = node.module.removeprefix(PACKAGE)
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {name for name in names if (PLUGINS / name.replace(".", "/")).with_suffix(".py").exists()} or {
                origin
            }
    return found


def folder(name):
    return name.rpartition(".")[0]


def test_every_file_is_in_a_folder_of_the_map():
    below = {module_name(path) for path in FILES if path.parts[len(PLUGINS.parts)] in ("module_utils", "plugin_utils")}
    assert sorted({folder(name) for name in below}) == sorted(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_from_high_to_low(path):
    here = folder(module_name(path))
    for name in imports(path):
        if here in LAYERS:
            assert folder(name) in LAYERS[: LAYERS.index(here) + 1], f"{module_name(path)} imports {name}"


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "modules"], ids=module_name)
def test_modules_import_no_code_of_the_controller(path):
    assert not [name for name in imports(path) if not name.startswith("module_utils.")]


def test_no_imports_are_circular():
    try:
        TopologicalSorter({module_name(path): imports(path) for path in FILES}).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_map_of_folders_in_the_documentation_has_the_order_of_imports():
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `plugins/((?:module|plugin)_utils/_\w+)` \|", text, re.MULTILINE)
    assert [name.replace("/", ".") for name in listed] == LAYERS


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_that_the_documentation_names_exist(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    tops = "|".join(sorted(re.escape(path.name) for path in REPOSITORY.iterdir() if not path.name.startswith(".")))
    named = set(re.findall(rf"`((?:{tops})(?:/[\w.@-]+)*/?)`", text))
    assert len(named) > 10
    assert sorted(name for name in named if not (REPOSITORY / name).exists()) == []
