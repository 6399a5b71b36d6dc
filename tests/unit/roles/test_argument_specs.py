"""The argument specifications document the roles and match their defaults/main.yml."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
NAMES = sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))
# variables that several roles share
SHARED = {"asgi_name", "asgi_clients", "asgi_module", "asgi_env", "asgi_server_type", "asgi_uninstall"}


def options(role):
    """Return the options of all entry points of *role*."""
    specification = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    return {
        name: option for entry in specification["argument_specs"].values() for name, option in entry["options"].items()
    }


@pytest.mark.parametrize("role", NAMES)
def test_the_specification_has_the_defaults_of_the_role(role):
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text()) or {}
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert specified == defaults


@pytest.mark.parametrize("role", NAMES)
def test_required_variables_have_no_default(role):
    assert [name for name, option in options(role).items() if option.get("required") and "default" in option] == []


@pytest.mark.parametrize("role", NAMES)
def test_every_variable_is_named_after_its_role(role):
    assert [name for name in options(role) if not name.startswith(f"{role}_") and name not in SHARED] == []


@pytest.mark.parametrize("role", NAMES)
def test_every_variable_is_described(role):
    assert [name for name, option in options(role).items() if not option.get("description")] == []


def test_shared_variables_have_one_type():
    types = defaultdict(set)
    for role in NAMES:
        for name, option in options(role).items():
            types[name].add((option.get("type", "str"), option.get("no_log", False)))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
