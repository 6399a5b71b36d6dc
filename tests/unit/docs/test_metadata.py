# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata of the collection: licences, action groups, versions, and the workflows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted((ROOT / "plugins/modules").glob("[!_]*.py"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def documentation(path):
    text = path.read_text()
    return yaml.safe_load(re.search(r'^DOCUMENTATION = r?"""\n(.*?)"""', text, re.MULTILINE | re.DOTALL)[1])


def takes_name(documented):
    return "name" in documented["options"] or "asgi.deploy.app" in documented.get("extends_documentation_fragment", ())


def test_action_group_has_the_modules_that_take_the_name_of_an_app():
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]
    assert groups == {"app": [path.stem for path in MODULES if takes_name(documentation(path))]}


@pytest.mark.parametrize(
    "path",
    [
        *MODULES,
        *sorted({*(ROOT / "plugins/filter").glob("*.py")} - {ROOT / "plugins/filter/internal.py"}),
        *sorted((ROOT / "plugins/callback").glob("*.py")),
    ],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_plugin_has_version_added(path):
    assert re.fullmatch(r"\d+\.\d+\.\d+", str(documentation(path)["version_added"]))


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/meta/argument_specs.yml")), ids=lambda path: path.parts[-3])
def test_role_has_version_added(path):
    for name, entry_point in yaml.safe_load(path.read_text())["argument_specs"].items():
        assert "version_added" in entry_point, name


def test_every_file_has_one_of_the_licences_of_galaxy_yml():
    licences = yaml.safe_load((ROOT / "galaxy.yml").read_text())["license"]
    found = {}
    for path in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "roles").rglob("*.py")]:
        if text := path.read_text():
            found[str(path.relative_to(ROOT))] = re.search(r"SPDX-License-Identifier: (\S+)", text)[1]
    assert set(found.values()) == set(licences)
    # only these files run inside the processes of an app, or start those processes
    assert {name for name, licence in found.items() if licence == "BSD-2-Clause"} == {
        name for name in found if name.startswith("roles/asgi_server/files/")
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_only_a_tag_starts_a_release():
    # YAML 1.1 reads the key `on` as a boolean
    assert yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())[True] == {"push": {"tags": ["[0-9]*"]}}
