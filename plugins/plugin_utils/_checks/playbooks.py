# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of playbooks, which belong to no role. maintain.py and tune.py check those of rolling_maintenance.yml and tune.yml."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import maintain, tune, values
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status import ASPECTS
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem, shown

ON_FAILURE = ("rollback", "stop")
FORMATS = ("table", "json")

BATCHES = ("asgi_deploy_batches", "asgi_deploy_max_failures")
NOTIFY = ("asgi_deploy_notify_url", "asgi_deploy_notify_headers")
HOOKS = ("asgi_deploy_hook_host_before", "asgi_deploy_hook_host_after")
VARIABLES = {
    "deploy": (*BATCHES, "asgi_deploy_on_failure", *HOOKS, *NOTIFY),
    "reload": ("asgi_name", *BATCHES, *HOOKS, *NOTIFY, "asgi_reload_timeout"),
    "rollback": ("asgi_name", *BATCHES, *HOOKS, *NOTIFY, "asgi_rollback_allow_bad", "asgi_rollback_release"),
    "rolling_maintenance": (*maintain.VARIABLES, *HOOKS),
    "status": (
        "asgi_status_format",
        "asgi_status_file",
        "asgi_status_json",
        "asgi_status_html",
        "asgi_status_sbom",
        "asgi_status_ignore",
        "asgi_status_strict",
    ),
    "doctor": ("asgi_doctor_format", "asgi_doctor_file", "asgi_doctor_strict"),
    "tune": tuple(tune.CHECKS),
    "maintenance_page": ("asgi_name", "asgi_maintenance"),
    "run": ("asgi_name", "asgi_run", "asgi_run_hosts", "asgi_run_timeout"),
    "logs": ("asgi_name", "asgi_logs_lines", "asgi_logs_since", "asgi_logs_process"),
    "releases": ("asgi_releases_format",),
}
FILES = (*HOOKS, "asgi_maintain_tasks")
MAINTENANCE = "pass -e asgi_maintenance=on or =off"
RUN = "pass a command, such as -e \"asgi_run='alembic current'\""
REQUIRED = {"asgi_name": "set it to the name of the app", "asgi_maintenance": MAINTENANCE, "asgi_run": RUN}

# Variables of the whole play. Ansible uses the value of the first host, so all hosts must have the same one.
PER_PLAY = frozenset(
    [
        "asgi_deploy_batches",
        "asgi_deploy_max_failures",
        "asgi_deploy_on_failure",
        "asgi_maintain_batches",
        "asgi_balancer_hosts",
    ]
)

# Files that every host writes. With the same path, one host would overwrite the file of another.
PER_HOST = frozenset(["asgi_tune_html", "asgi_tune_json", "asgi_tune_vars_file"])


def problems(context: Context, playbook: str, first: dict[str, Any]) -> list[Problem]:
    """Return the problems in the variables of *playbook*; *first* contains the values for the first host of the play."""
    found: list[Problem] = []
    for name in VARIABLES[playbook]:
        if name not in context.options:
            if name in REQUIRED:
                found.append(Problem("required-missing", name, "is not set", REQUIRED[name]))
        elif context.options[name] is None:
            found.append(Problem("value-null", name, "is null"))
        elif name in FILES:
            found += hook_problems(context, name)
        elif name in CHECKS:
            found += CHECKS[name](name, context.options[name])
    found += _play_problems(context.options, playbook, first)
    if playbook == "rolling_maintenance":
        found += maintain.work_problems(context.options)
    found += _file_problems(context.options, playbook, first)
    if playbook == "tune" and not found:
        found += tune.time_problems(context.options)
    return found


def role_problems(context: Context, playbook: str | None) -> Iterable[Problem]:
    """Return the problems in the roles' variables that affect only *playbook*; *context* contains the roles' options."""
    return tune.role_problems(context) if playbook == "tune" else ()


def _play_problems(options: dict[str, Any], playbook: str, first: dict[str, Any]) -> Iterator[Problem]:
    for name in VARIABLES[playbook]:
        if name in PER_PLAY and _as_text(options.get(name)) != _as_text(first.get(name)):
            value, first_value = (shown(each[name]) if name in each else "not set" for each in (options, first))
            yield Problem(
                "play-variable-differs", name, f"is {value} here and {first_value} for the first host of the play"
            )


def _as_text(value: Any) -> Any:
    """Return *value* as a string, so that a number equals the string that ``-e`` sets."""
    try:
        return str(value)
    except ValueError:
        # Python cannot convert integers of more than 4300 digits, which the other checks reject.
        return value


def _file_problems(options: dict[str, Any], playbook: str, first: dict[str, Any]) -> Iterator[Problem]:
    for name in VARIABLES[playbook]:
        if name in PER_HOST and name in options and options[name] == first.get(name):
            yield Problem(
                "file-shared-by-hosts", name, f"is {shown(options[name])} here and for the first host of the play"
            )


def _aspects(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, (list, tuple)):
        remedy = f'use a list; on the command line as JSON: -e \'{{"{name}": ["workers"]}}\''
        yield Problem("type-wrong", name, f"is {shown(value)}", remedy)
        return
    for aspect in value:
        if not isinstance(aspect, str) or aspect not in ASPECTS:
            yield Problem("choice-invalid", name, f"contains {shown(aspect)}", f"use some of {', '.join(ASPECTS)}")


def _maintenance(name: str, value: Any) -> Iterator[Problem]:
    if values.meaning(value) is None:
        yield Problem("boolean-invalid", name, f"is {shown(value)}", MAINTENANCE)


def _notify_url(name: str, value: Any) -> Iterator[Problem]:
    # The messages about webhooks omit values, which contain secrets.
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^/\s]+\S*", value):
        yield Problem("webhook-url-invalid", name, "is not the URL of a webhook")


def _notify_headers(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("webhook-header-invalid", name, "is not a dictionary of headers")
        return
    for header, text in value.items():
        if not isinstance(header, str) or not re.fullmatch(r"[A-Za-z0-9-]+", header):
            yield Problem("webhook-header-invalid", name, "contains an invalid name")
        elif not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", text):
            yield Problem("webhook-header-invalid", f"{name}.{header}", "is not a string of printable ASCII characters")


def _command(name: str, value: Any) -> Iterator[Problem]:
    """Check a command: a string that a shell could split, or a list. Messages omit it, because it may contain a secret."""
    try:
        argv = shlex.split(value) if isinstance(value, str) else value
    except ValueError as exc:
        yield Problem("command-line-invalid", name, f"cannot be split into arguments: {exc}", RUN)
        return
    if not isinstance(argv, (list, tuple)) or not argv or not all(isinstance(each, str) for each in argv):
        yield Problem(
            "command-line-invalid", name, "is neither a command line nor a list of strings, or it is empty", RUN
        )


CHECKS: dict[str, values.Check] = {
    **maintain.CHECKS,
    **tune.CHECKS,
    "asgi_deploy_batches": values.batches,
    "asgi_deploy_max_failures": values.number(0),
    "asgi_deploy_notify_headers": _notify_headers,
    "asgi_deploy_notify_url": _notify_url,
    "asgi_deploy_on_failure": values.one_of(*ON_FAILURE),
    "asgi_doctor_file": values.path,
    "asgi_doctor_format": values.one_of(*FORMATS),
    "asgi_doctor_strict": values.switch,
    "asgi_logs_lines": values.number(1),
    "asgi_logs_process": values.text,
    "asgi_logs_since": values.text,
    "asgi_maintenance": _maintenance,
    "asgi_releases_format": values.one_of(*FORMATS),
    "asgi_reload_timeout": values.number(1),
    "asgi_rollback_allow_bad": values.switch,
    "asgi_rollback_release": values.text,
    "asgi_run": _command,
    "asgi_run_hosts": values.one_of("first", "all"),
    "asgi_run_timeout": values.number(1),
    "asgi_status_format": values.one_of(*FORMATS),
    "asgi_status_file": values.path,
    "asgi_status_json": values.path,
    "asgi_status_html": values.path,
    "asgi_status_sbom": values.path,
    "asgi_status_ignore": _aspects,
    "asgi_status_strict": values.switch,
}
