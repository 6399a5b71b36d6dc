"""Checks of single values, and that a playbook makes of a switch what its check took it for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.filter.core import to_bool
from ansible.template import Templar, trust_as_template
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import values
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.playbooks import CHECKS, VARIABLES

ROOT = Path(__file__).parents[5]
WORDS = ["yes", "no", "on", "off", "1", "0", "true", "false"]
SWITCHES = [True, False, 1, 0, *WORDS, *(word.title() for word in WORDS), *(word.upper() for word in WORDS)]
# Ansible's modules take some of these, its filter ``bool`` makes False of all but 1.0
NO_SWITCHES = ["y", "n", "t", "f", "Y", "T", "", " true", "maybe", 2, -1, 1.0, 0.0, None, [], [True], {}]


def told(check, value):
    return [f"{problem.variable} {problem.fault} -> {problem.remedy}" for problem in check("asgi_x", value)]


@pytest.mark.parametrize("value", SWITCHES)
def test_a_switch_means_what_the_filter_makes_of_it(value):
    assert told(values.switch, value) == []
    assert values.meaning(value) is to_bool(value)


@pytest.mark.parametrize("value", NO_SWITCHES)
def test_what_is_no_switch_is_told_in_one_line(value):
    assert told(values.switch, value) == [f"asgi_x is {value!r} -> give true or false"]


def test_every_switch_of_a_playbook_is_checked():
    texts = [path.read_text() for path in (ROOT / "playbooks").rglob("*.yml")]
    read = {name for text in texts for name in re.findall(r"\b(asgi_\w+)(?: \| default\(\w+\))? \| bool", text)}
    assert {"asgi_maintain_upgrade", "asgi_status_strict", "asgi_doctor_strict"} <= read
    assert {name for name in read if CHECKS.get(name) is not values.switch} == set()
    assert read <= {name for names in VARIABLES.values() for name in names}


@pytest.mark.parametrize("value", [*SWITCHES, *NO_SWITCHES])
def test_the_switch_of_maintenance_is_checked_without_preflight(value):
    [play] = yaml.safe_load((ROOT / "playbooks/maintenance.yml").read_text())
    condition = trust_as_template(play["tasks"][0]["ansible.builtin.assert"]["that"])
    templar = Templar(DataLoader(), variables={"asgi_maintenance": value})
    assert templar.evaluate_conditional(condition) is (values.meaning(value) is not None)
