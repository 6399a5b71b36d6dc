"""Checks of single values. A check and the playbook that uses the value interpret a boolean in the same way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible.plugins.filter.core import to_bool
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import values
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.playbooks import CHECKS, VARIABLES

ROOT = Path(__file__).parents[5]
WORDS = ["yes", "no", "on", "off", "1", "0", "true", "false"]
SWITCHES = [True, False, 1, 0, *WORDS, *(word.title() for word in WORDS), *(word.upper() for word in WORDS)]
# Options of Ansible's modules accept some of these, but its filter ``bool`` converts all except 1.0 to False.
NO_SWITCHES = ["y", "n", "t", "f", "Y", "T", "", " true", "maybe", 2, -1, 1.0, 0.0, None, [], [True], {}]


def codes(check, value):
    return [problem.code for problem in check("asgi_x", value)]


@pytest.mark.parametrize("value", SWITCHES)
def test_booleans_mean_the_same_as_to_the_filter(value):
    assert codes(values.switch, value) == []
    assert values.meaning(value) is to_bool(value)


@pytest.mark.parametrize("value", NO_SWITCHES)
def test_other_values_are_no_booleans(value):
    assert codes(values.switch, value) == ["boolean-invalid"]


def test_every_boolean_of_a_playbook_is_checked():
    texts = [path.read_text() for path in (ROOT / "playbooks").rglob("*.yml")]
    read = {name for text in texts for name in re.findall(r"\b(asgi_\w+)(?: \| default\(\w+\))? \| bool", text)}
    assert {"asgi_maintain_upgrade", "asgi_status_strict", "asgi_doctor_strict"} <= read
    assert {name for name in read if name != "asgi_maintenance" and CHECKS.get(name) is not values.switch} == set()
    assert read <= {name for names in VARIABLES.values() for name in names}


@pytest.mark.parametrize("value", [*SWITCHES, *NO_SWITCHES])
def test_asgi_maintenance_is_a_boolean(value):
    assert codes(CHECKS["asgi_maintenance"], value) == codes(values.switch, value)
