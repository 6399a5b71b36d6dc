# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated reference: groups of variables, examples, and the public plugins."""

from __future__ import annotations

from pathlib import Path

import pytest
import reference
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parents[1] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
EXAMPLES = [
    pytest.param(role.name, group["example"], id=f"{role.name}: {group['title']}")
    for role in ROLES
    for group in reference.GROUPS[role.name]
]


def main_options(role):
    return reference.specs(ROOT / "roles" / role)["main"]["options"]


def test_pages_are_up_to_date():
    stale = [str(path.relative_to(ROOT)) for path, text in reference.pages().items() if path.read_text() != text]
    assert stale == [], "run tools/reference.py"


def test_every_role_has_groups():
    assert sorted(reference.GROUPS) == [role.name for role in ROLES]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_group_has_variables(role):
    assert all(options for _group, options in reference.grouped(role.name, main_options(role.name)))


def test_variable_without_group_fails():
    with pytest.raises(SystemExit, match="asgi_app_novelty belongs to no group of asgi_app"):
        reference.grouped("asgi_app", {"asgi_app_novelty": {}})


@pytest.mark.parametrize(("role", "example"), EXAMPLES)
def test_example_sets_variables_of_the_role(role, example):
    assert set(yaml.safe_load(example)) <= set(main_options(role))


@pytest.mark.parametrize(
    ("folder", "names"), [("modules", reference.PUBLIC_MODULES), ("filter", reference.PUBLIC_FILTERS)]
)
def test_public_plugins_exist(folder, names):
    assert set(names) <= {path.stem for path in (ROOT / "plugins" / folder).glob("*.py")}
