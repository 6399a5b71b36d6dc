# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables of rolling_maintenance.yml."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.maintain import CHECKS, work_problems


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
def test_valid_values_are_accepted(name, value):
    assert list(CHECKS[name](name, value)) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("asgi_maintain_reboot", "maybe", "choice-invalid"),
        ("asgi_maintain_batches", 0, "batches-invalid"),
        ("asgi_maintain_min_servers", "half", "number-out-of-range"),
        ("asgi_maintain_lingering", "wait", "choice-invalid"),
        ("asgi_maintain_on_failure", "ignore", "choice-invalid"),
        ("asgi_maintain_return_timeout", 0, "number-out-of-range"),
    ],
)
def test_invalid_values_are_rejected(name, value, code):
    [problem] = CHECKS[name](name, value)
    assert (problem.variable, problem.code) == (name, code)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"asgi_maintain_reboot": False},
        {"asgi_maintain_upgrade": "false"},
        {"asgi_maintain_upgrade": "0", "asgi_maintain_reboot": "False"},
    ],
)
def test_maintenance_without_work_is_rejected(options):
    [problem] = work_problems(options)
    assert (problem.variable, problem.code) == ("asgi_maintain_tasks", "maintenance-without-work")


@pytest.mark.parametrize(
    "options",
    [{"asgi_maintain_tasks": "/work.yml"}, {"asgi_maintain_upgrade": "yes"}, {"asgi_maintain_reboot": "if-required"}],
)
def test_maintenance_with_work_is_accepted(options):
    assert list(work_problems(options)) == []


@pytest.mark.parametrize("value", ["y", "n", "t", "f", []])
def test_invalid_booleans_count_as_work(value):
    [problem] = CHECKS["asgi_maintain_upgrade"]("asgi_maintain_upgrade", value)
    assert problem.code == "boolean-invalid"
    assert list(work_problems({"asgi_maintain_upgrade": value})) == []
