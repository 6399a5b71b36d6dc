"""Checks of the variables of playbooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.playbooks import CHECKS, FILES, VARIABLES, problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, shown

NAME = {"asgi_name": "shop"}


def found(playbook, options, first=None):
    return problems(Context(options=options, find=Path), playbook, options if first is None else first)


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        ("deploy", {}),
        ("deploy", {"asgi_deploy_batches": [1, "25%", "100%"], "asgi_deploy_max_failures": 2}),
        ("deploy", {"asgi_deploy_batches": "1,50%", "asgi_deploy_max_failures": "2", "asgi_deploy_on_failure": "stop"}),
        (
            "deploy",
            {"asgi_deploy_notify_url": "https://chat.example/hooks/secret?x=1", "asgi_deploy_notify_headers": {}},
        ),
        ("rollback", {**NAME, "asgi_deploy_notify_headers": {"Authorization": "Bearer a b"}}),
        ("reload", {**NAME, "asgi_reload_timeout": "30"}),
        ("rollback", {**NAME, "asgi_rollback_allow_bad": "True"}),
        ("rolling_maintenance", {**NAME, "asgi_maintain_tasks": __file__, "asgi_maintain_batches": "25%"}),
        ("run", {**NAME, "asgi_run": "python -c 'print(1)'", "asgi_run_hosts": "all", "asgi_run_timeout": "60"}),
        ("run", {**NAME, "asgi_run": ["alembic", "current"]}),
        ("logs", {**NAME, "asgi_logs_lines": "5", "asgi_logs_since": "10 min ago", "asgi_logs_process": "web"}),
        ("releases", {"asgi_releases_format": "json"}),
        ("tune", {}),
        ("tune", {"asgi_tune_workers": "1,2,4", "asgi_tune_budget": 30}),
        ("status", {"asgi_status_format": "json", "asgi_status_html": "status.html", "asgi_status_strict": False}),
    ],
)
def test_valid_values_are_accepted(playbook, options):
    assert found(playbook, options) == []


@pytest.mark.parametrize(
    ("playbook", "name", "value", "code"),
    [
        ("deploy", "asgi_deploy_batches", 0, "batches-invalid"),
        ("deploy", "asgi_deploy_batches", [1, "quarter"], "batches-invalid"),
        ("deploy", "asgi_deploy_batches", '[1, "25%"]', "batches-invalid"),
        ("deploy", "asgi_deploy_batches", None, "value-null"),
        ("deploy", "asgi_deploy_max_failures", -1, "number-out-of-range"),
        ("deploy", "asgi_deploy_max_failures", "25%", "number-out-of-range"),
        ("deploy", "asgi_deploy_max_failures", True, "number-out-of-range"),
        ("deploy", "asgi_deploy_on_failure", "ignore", "choice-invalid"),
        ("deploy", "asgi_deploy_hook_host_before", "hooks/drain.yml", "hook-file-missing"),
        ("deploy", "asgi_deploy_hook_host_after", "/no/such/file.yml", "hook-file-missing"),
        ("deploy", "asgi_deploy_notify_url", "chat.example/hooks", "webhook-url-invalid"),
        ("deploy", "asgi_deploy_notify_url", "file:///etc/passwd", "webhook-url-invalid"),
        ("deploy", "asgi_deploy_notify_headers", "Authorization: x", "webhook-header-invalid"),
        ("reload", "asgi_deploy_notify_headers", {"A: b": "x"}, "webhook-header-invalid"),
        ("reload", "asgi_reload_timeout", "soon", "number-out-of-range"),
        ("rollback", "asgi_rollback_allow_bad", "maybe", "boolean-invalid"),
        ("run", "asgi_run", "echo 'x", "command-line-invalid"),
        ("run", "asgi_run", " ", "command-line-invalid"),
        ("run", "asgi_run", [], "command-line-invalid"),
        ("run", "asgi_run", ["sleep", 5], "command-line-invalid"),
        ("run", "asgi_run", {"alembic": "current"}, "command-line-invalid"),
        ("logs", "asgi_logs_lines", 0, "number-out-of-range"),
        ("logs", "asgi_logs_since", "", "text-empty"),
        ("releases", "asgi_releases_format", "html", "choice-invalid"),
        ("rolling_maintenance", "asgi_maintain_tasks", "work.yml", "hook-file-missing"),
        ("rolling_maintenance", "asgi_maintain_batches", 0, "batches-invalid"),
        ("tune", "asgi_tune_rounds", "3.5", "number-out-of-range"),
        ("status", "asgi_status_format", "yaml", "choice-invalid"),
        ("status", "asgi_status_html", "", "path-invalid"),
    ],
)
def test_invalid_values_are_rejected(playbook, name, value, code):
    variables = {**NAME, "asgi_maintain_upgrade": True, "asgi_run": "true", name: value}
    [problem] = found(playbook, variables, first=variables if playbook != "tune" else {})
    assert (problem.variable, problem.code) == (name, code)


# A string, as "-e" sets it, and an integer that YAML can parse but Python cannot convert back to a string.
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
def test_values_of_any_type_are_problems_and_no_exceptions(playbook, name, value):
    variables = {**NAME, "asgi_maintain_upgrade": True, "asgi_run": "true", name: value}
    problems = found(playbook, variables, first=variables if playbook != "tune" else {})
    assert [problem for problem in problems if len(str(problem)) > 700] == []
    assert {problem.variable for problem in problems} <= {name, "asgi_tune_budget", "asgi_tune_seconds"}


@pytest.mark.parametrize(
    ("playbook", "name", "value", "message"),
    [
        ("status", "asgi_status_strict", [], "is [] -> set true or false [boolean-invalid]"),
        ("status", "asgi_status_ignore", [[]], "contains [] -> use some of release, state, "),
        ("deploy", "asgi_deploy_hook_host_before", 5, "is 5 -> set the absolute path"),
        ("deploy", "asgi_deploy_hook_host_before", "/" + "x" * 5000, f"is '/{'x' * 198}... -> set the absolute path"),
        ("deploy", "asgi_deploy_max_failures", DIGITS, f"is '{'9' * 199}... -> use an integer of at least 0"),
        ("deploy", "asgi_deploy_max_failures", NUMBER, "is a number of thousands of digits -> use an integer"),
        ("deploy", "asgi_deploy_batches", DIGITS, f"is '{'9' * 199}...: '{'9' * 199}... is not a batch size -> "),
        ("tune", "asgi_tune_workers", DIGITS, f"is '{'9' * 199}... -> list integers of at least 1"),
    ],
    ids=short,
)
def test_long_values_are_shortened_in_messages(playbook, name, value, message):
    [problem] = found(playbook, {**NAME, name: value})
    assert str(problem).startswith(f"{name} {message}")


@pytest.mark.parametrize("value", ["s3cret\r\nX-Evil: 1", "s3cret ", "s3cret\xe9", "", 5])
def test_header_values_are_printable_and_not_quoted(value):
    [problem] = found("deploy", {"asgi_deploy_notify_headers": {"X-Token": value}})
    assert (problem.variable, problem.code) == ("asgi_deploy_notify_headers.X-Token", "webhook-header-invalid")
    assert "s3cret" not in str(problem)


def test_required_variables_must_be_set():
    assert [(problem.variable, problem.code) for problem in found("reload", {})] == [("asgi_name", "required-missing")]


def test_a_command_is_required_and_never_quoted():
    [problem] = found("run", NAME)
    assert (problem.variable, problem.code) == ("asgi_run", "required-missing")
    [problem] = found("run", {**NAME, "asgi_run": "psql --password s3cret '"})
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize("here", [{}, {"asgi_deploy_max_failures": 1}])
def test_hosts_of_a_play_must_have_the_same_values(here):
    [problem] = found("deploy", here, first={"asgi_deploy_max_failures": 2})
    assert (problem.code, "2 for the first host" in problem.fault) == ("play-variable-differs", True)


@pytest.mark.parametrize(
    ("playbook", "options", "code"),
    [
        ("rolling_maintenance", NAME, "maintenance-without-work"),
        ("tune", {"asgi_tune_seconds": 60, "asgi_tune_budget": 10, "asgi_tune_workers": "1"}, "tune-budget-too-small"),
    ],
)
def test_variables_of_a_playbook_are_checked_together(playbook, options, code):
    assert [problem.code for problem in found(playbook, options)] == [code]


def test_hosts_must_not_write_the_same_file():
    path = {"asgi_tune_html": "tune.html"}
    assert [problem.code for problem in found("tune", path, first=path)] == ["file-shared-by-hosts"]
    assert found("tune", path, first={"asgi_tune_html": "other.html"}) == []
    assert found("tune", path, first={}) == [], "the first host"


def test_every_variable_is_documented():
    docs = Path(__file__).parents[5] / "docs"
    text = "".join(path.read_text() for path in [docs / "reference/playbooks.md", *docs.glob("how-to/*.md")])
    assert [name for names in VARIABLES.values() for name in names if f"`{name}`" not in text] == []
