# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables of tune.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.tune import CHECKS, role_problems, time_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asgi_tune_workers", "1,2,4"),
        ("asgi_tune_seconds", "1"),
        ("asgi_tune_warmup", 0),
        ("asgi_tune_budget", 10),
        ("asgi_tune_path", "/items?limit=10&q=%20"),
        ("asgi_tune_headers", {"Authorization": "Bearer x"}),
        ("asgi_tune_method", "POST"),
        ("asgi_tune_body", "a=1"),
        ("asgi_tune_with_traffic", "yes"),
    ],
)
def test_valid_values_are_accepted(name, value):
    assert list(CHECKS[name](name, value)) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("asgi_tune_workers", "1,many", "tune-workers-invalid"),
        ("asgi_tune_workers", [], "tune-workers-invalid"),
        ("asgi_tune_workers", [0], "tune-workers-invalid"),
        ("asgi_tune_seconds", 0, "number-out-of-range"),
        ("asgi_tune_warmup", "-1", "number-out-of-range"),
        ("asgi_tune_rounds", "3.5", "number-out-of-range"),
        ("asgi_tune_budget", 5, "number-out-of-range"),
        ("asgi_tune_connections", 5000, "number-out-of-range"),
        ("asgi_tune_path", "health", "tune-path-invalid"),
        ("asgi_tune_path", "/a b", "tune-path-invalid"),
        ("asgi_tune_path", "/a\nb", "tune-path-invalid"),
        ("asgi_tune_method", "get", "choice-invalid"),
        ("asgi_tune_headers", ["A: b"], "tune-headers-invalid"),
        ("asgi_tune_headers", {"A": "b\r\nC: d"}, "tune-headers-invalid"),
        ("asgi_tune_with_traffic", "maybe", "boolean-invalid"),
        ("asgi_tune_vars_file", 7, "path-invalid"),
    ],
)
def test_invalid_values_are_rejected(name, value, code):
    [problem] = CHECKS[name](name, value)
    assert (problem.variable, problem.code) == (name, code)


def test_messages_contain_no_header_values():
    name = "asgi_tune_headers"
    assert "t0ken" not in str(list(CHECKS[name](name, {"Authorization": 5, "X": "t0ken"})))


def test_budget_must_suffice_for_one_round():
    options = {"asgi_tune_workers": "1,2,3", "asgi_tune_seconds": 60, "asgi_tune_budget": 100}
    [problem] = time_problems(options)
    assert (problem.code, "take 186 s" in problem.fault) == ("tune-budget-too-small", True)
    assert list(time_problems({**options, "asgi_tune_budget": 186})) == []


@pytest.mark.parametrize(("kind", "codes"), [("uvicorn_worker", []), ("uvicorn", ["tune-single-process"]), (None, [])])
def test_single_process_is_not_tuned(kind, codes):
    options = {} if kind is None else {"asgi_server_type": kind}
    assert [each.code for each in role_problems(Context(options=options, find=Path))] == codes
