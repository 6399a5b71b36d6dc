"""The variables of the playbooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.playbooks import VARIABLES, problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context

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
