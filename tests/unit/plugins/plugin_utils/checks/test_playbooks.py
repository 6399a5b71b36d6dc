"""The variables of the playbooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.playbooks import CHECKS, FILES, VARIABLES, problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, shown

NAME = {"asgi_name": "shop"}


def told(playbook, options, first=None):
    found = problems(Context(options=options, find=Path), playbook, options if first is None else first)
    return [f"{problem.variable} {problem.fault} -> {problem.remedy}" for problem in found]


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        ("deploy", {}),
        ("deploy", {"asgi_deploy_batches": [1, "25%", "100%"], "asgi_deploy_max_failures": 2}),
        ("deploy", {"asgi_deploy_batches": "1,50%", "asgi_deploy_max_failures": "2", "asgi_deploy_on_failure": "stop"}),
        ("reload", {**NAME, "asgi_reload_timeout": "30"}),
        ("rollback", {**NAME, "asgi_rollback_allow_bad": "True"}),
        ("maintain", {**NAME, "asgi_maintain_tasks": __file__, "asgi_maintain_batches": "25%"}),
        ("tune", {}),
        ("tune", {"asgi_tune_workers": "1,2,4", "asgi_tune_budget": 30}),
        ("status", {"asgi_status_format": "json", "asgi_status_html": "status.html", "asgi_status_strict": False}),
    ],
)
def test_good(playbook, options):
    assert told(playbook, options) == []


@pytest.mark.parametrize(
    ("playbook", "name", "value", "words"),
    [
        ("deploy", "asgi_deploy_batches", 0, ["is 0", "at least 1"]),
        ("deploy", "asgi_deploy_batches", [1, "quarter"], ["'quarter'", "'25%'"]),
        ("deploy", "asgi_deploy_batches", '[1, "25%"]', ["no size of a batch"]),
        ("deploy", "asgi_deploy_batches", None, ["is null"]),
        ("deploy", "asgi_deploy_max_failures", -1, ["is -1", "at least 0"]),
        ("deploy", "asgi_deploy_max_failures", "25%", ["'25%'", "whole number"]),
        ("deploy", "asgi_deploy_max_failures", True, ["is True", "whole number"]),
        ("deploy", "asgi_deploy_on_failure", "ignore", ["'ignore'", "'rollback' or 'stop'"]),
        ("deploy", "asgi_deploy_hook_host_before", "hooks/drain.yml", ["'hooks/drain.yml'", "absolute path"]),
        ("deploy", "asgi_deploy_hook_host_after", "/no/such/file.yml", ["'/no/such/file.yml'", "absolute path"]),
        ("reload", "asgi_reload_timeout", "soon", ["'soon'", "at least 1"]),
        ("rollback", "asgi_rollback_allow_bad", "maybe", ["'maybe'", "true or false"]),
        ("maintain", "asgi_maintain_tasks", "work.yml", ["'work.yml'", "absolute path"]),
        ("maintain", "asgi_maintain_batches", 0, ["is 0", "at least 1"]),
        ("tune", "asgi_tune_rounds", "3.5", ["'3.5'", "whole number"]),
        ("status", "asgi_status_format", "yaml", ["'yaml'", "'table' or 'json'"]),
        ("status", "asgi_status_html", "", ["is ''", "path"]),
    ],
)
def test_bad(playbook, name, value, words):
    variables = {**NAME, "asgi_maintain_upgrade": True, name: value}
    [message] = told(playbook, variables, first=variables if playbook != "tune" else {})
    assert message.startswith(f"{name} ")
    assert [word for word in words if word not in message] == []


# a text, as -e makes one of everything, and a number that YAML reads and Python does not write
DIGITS, NUMBER = "9" * 5000, int("f" * 5000, 16)


def short(value):
    return shown(value)[:20]


@pytest.mark.parametrize(
    "value", [DIGITS, NUMBER, [NUMBER], [], {}, [[]], ["x", {}], 5, 1.5, "\0", "/" + "x" * 5000], ids=short
)
@pytest.mark.parametrize(
    ("playbook", "name"),
    [(playbook, name) for playbook, names in VARIABLES.items() for name in names if name in CHECKS or name in FILES],
)
def test_whatever_is_given_there_are_only_problems(playbook, name, value):
    variables = {**NAME, "asgi_maintain_upgrade": True, name: value}
    messages = told(playbook, variables, first=variables if playbook != "tune" else {})
    assert [message for message in messages if len(message) > 700] == []
    assert {message.split(" ")[0] for message in messages} <= {name, "asgi_tune_budget", "asgi_tune_seconds"}


@pytest.mark.parametrize(
    ("playbook", "name", "value", "message"),
    [
        ("status", "asgi_status_strict", [], "is [] -> give true or false"),
        ("status", "asgi_status_ignore", [[]], "contains [] -> give some of release, state, "),
        ("deploy", "asgi_deploy_hook_host_before", 5, "is 5 -> give the absolute path"),
        ("deploy", "asgi_deploy_hook_host_before", "/" + "x" * 5000, f"is '/{'x' * 198}... -> give the absolute path"),
        ("deploy", "asgi_deploy_max_failures", DIGITS, f"is '{'9' * 199}... -> give a whole number of at least 0"),
        ("deploy", "asgi_deploy_max_failures", NUMBER, "is a number of thousands of digits -> give a whole"),
        ("deploy", "asgi_deploy_batches", DIGITS, f"is '{'9' * 199}...: '{'9' * 199}... is no size of a batch -> "),
        ("tune", "asgi_tune_workers", DIGITS, f"is '{'9' * 199}... -> give whole numbers of at least 1"),
    ],
    ids=short,
)
def test_what_is_told_of_a_value_that_nobody_would_give(playbook, name, value, message):
    [line] = told(playbook, {**NAME, name: value})
    assert line.startswith(f"{name} {message}")


def test_what_is_required():
    assert told("reload", {}) == ["asgi_name is not set -> it is: the name of the app"]


@pytest.mark.parametrize("here", [{}, {"asgi_deploy_max_failures": 1}])
def test_what_differs_between_the_hosts_of_a_play(here):
    [message] = told("deploy", here, first={"asgi_deploy_max_failures": 2})
    assert "2 for the first host of the play" in message
    assert "a play to each app" in message


@pytest.mark.parametrize(
    ("playbook", "options", "variable"),
    [
        ("maintain", NAME, "asgi_maintain_tasks"),
        ("tune", {"asgi_tune_seconds": 60, "asgi_tune_budget": 10, "asgi_tune_workers": "1"}, "asgi_tune_budget"),
    ],
)
def test_what_holds_for_several_variables_of_one_playbook(playbook, options, variable):
    [message] = told(playbook, options)
    assert message.startswith(f"{variable} ")


def test_hosts_write_files_of_their_own():
    path = {"asgi_tune_html": "tune.html"}
    [message] = told("tune", path, first=path)
    assert "{{ inventory_hostname }}" in message
    assert told("tune", path, first={"asgi_tune_html": "other.html"}) == []
    assert told("tune", path, first={}) == [], "the first host"


def test_every_variable_is_documented():
    docs = Path(__file__).parents[5] / "docs"
    text = "".join((docs / name).read_text() for name in ("fleet.md", "tuning.md"))
    assert [name for names in VARIABLES.values() for name in names if f"`{name}`" not in text] == []
