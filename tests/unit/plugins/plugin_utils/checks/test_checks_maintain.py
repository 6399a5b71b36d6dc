# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of maintain.yml."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.maintain import CHECKS, work_problems


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asgi_maintain_batches", "25%"),
        ("asgi_maintain_reboot", "if-required"),
        ("asgi_maintain_reboot", True),
        ("asgi_maintain_lingering", "refuse"),
        ("asgi_maintain_drain_timeout", "0"),
        ("asgi_maintain_upgrade", "yes"),
        ("asgi_maintain_on_failure", "drained"),
    ],
)
def test_good(name, value):
    assert list(CHECKS[name](name, value)) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("asgi_maintain_reboot", "maybe", ["'maybe'", "'if-required'"]),
        ("asgi_maintain_batches", 0, ["is 0", "at least 1"]),
        ("asgi_maintain_min_servers", "half", ["'half'", "whole number"]),
        ("asgi_maintain_lingering", "wait", ["'wait'", "'end' or 'cut' or 'refuse'"]),
        ("asgi_maintain_on_failure", "ignore", ["'ignore'", "'return' or 'drained'"]),
        ("asgi_maintain_return_timeout", 0, ["is 0", "at least 1"]),
    ],
)
def test_bad(name, value, words):
    [problem] = CHECKS[name](name, value)
    assert problem.variable == name
    message = f"{problem.fault} -> {problem.remedy}"
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"asgi_maintain_reboot": False},
        {"asgi_maintain_upgrade": "false"},
        {"asgi_maintain_upgrade": "0", "asgi_maintain_reboot": "False"},
    ],
)
def test_a_maintenance_with_nothing_to_do(options):
    [problem] = work_problems(options)
    assert (problem.variable, problem.fault) == ("asgi_maintain_tasks", "is not set")
    assert "asgi_maintain_upgrade=true" in problem.remedy


@pytest.mark.parametrize(
    "options",
    [{"asgi_maintain_tasks": "/work.yml"}, {"asgi_maintain_upgrade": "yes"}, {"asgi_maintain_reboot": "if-required"}],
)
def test_a_maintenance_with_something_to_do(options):
    assert list(work_problems(options)) == []


@pytest.mark.parametrize("value", ["y", "n", "t", "f", []])
def test_what_is_no_switch_is_refused_and_not_taken_for_one_or_the_other(value):
    [problem] = CHECKS["asgi_maintain_upgrade"]("asgi_maintain_upgrade", value)
    assert (problem.fault, problem.remedy) == (f"is {value!r}", "give true or false")
    assert list(work_problems({"asgi_maintain_upgrade": value})) == []
