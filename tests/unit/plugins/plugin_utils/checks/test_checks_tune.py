# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of tune.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.tune import CHECKS, role_problems, time_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context


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
def test_good(name, value):
    assert list(CHECKS[name](name, value)) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("asgi_tune_workers", "1,many", ["'1,many'", "1,2,4"]),
        ("asgi_tune_workers", [], ["is []", "1,2,4"]),
        ("asgi_tune_workers", [0], ["is [0]", "at least 1"]),
        ("asgi_tune_seconds", 0, ["is 0", "at least 1"]),
        ("asgi_tune_warmup", "-1", ["'-1'", "at least 0"]),
        ("asgi_tune_rounds", "3.5", ["'3.5'", "whole number"]),
        ("asgi_tune_budget", 5, ["is 5", "at least 10"]),
        ("asgi_tune_connections", 5000, ["is 5000", "from 1 to 1000"]),
        ("asgi_tune_path", "health", ["'health'", "'/items?limit=10'"]),
        ("asgi_tune_path", "/a b", ["'/a b'", "without spaces"]),
        ("asgi_tune_path", "/a\nb", ["without spaces"]),
        ("asgi_tune_method", "get", ["'get'", "'GET' or 'HEAD'"]),
        ("asgi_tune_headers", ["A: b"], ["no dictionary of texts", "Accept"]),
        ("asgi_tune_headers", {"A": "b\r\nC: d"}, ["no dictionary of texts"]),
        ("asgi_tune_with_traffic", "maybe", ["'maybe'", "true or false"]),
        ("asgi_tune_vars_file", 7, ["is 7", "path"]),
    ],
)
def test_bad(name, value, words):
    [problem] = CHECKS[name](name, value)
    assert problem.variable == name
    message = f"{problem.fault} -> {problem.remedy}"
    assert [word for word in words if word not in message] == []


def test_headers_are_not_shown():
    name = "asgi_tune_headers"
    assert "t0ken" not in str(list(CHECKS[name](name, {"Authorization": 5, "X": "t0ken"})))


def test_a_round_that_takes_longer_than_all_of_them_may():
    options = {"asgi_tune_workers": "1,2,3", "asgi_tune_seconds": 60, "asgi_tune_budget": 100}
    [problem] = time_problems(options)
    assert (problem.variable, problem.fault) == ("asgi_tune_budget", "is 100 s, and 3 candidates of 2 + 60 s take 186")
    assert list(time_problems({**options, "asgi_tune_budget": 186})) == []


@pytest.mark.parametrize(("kind", "variables"), [("uvicorn_worker", []), ("uvicorn", ["asgi_server_type"]), (None, [])])
def test_what_has_no_number_of_workers_is_not_tuned(kind, variables):
    options = {} if kind is None else {"asgi_server_type": kind}
    assert [each.variable for each in role_problems(Context(options=options, find=Path))] == variables
