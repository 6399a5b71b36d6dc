# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables of the playbooks, which are no role's.

maintain.yml and tune.yml have modules of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import maintain, tune, values
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem, shown
from ansible_collections.asgi.deploy.plugins.plugin_utils.status import ASPECTS

ON_FAILURE = ("rollback", "stop")
FORMATS = ("table", "json")

BATCHES = ("asgi_deploy_batches", "asgi_deploy_max_failures")
HOOKS = ("asgi_deploy_hook_host_before", "asgi_deploy_hook_host_after")
VARIABLES = {
    "deploy": (*BATCHES, "asgi_deploy_on_failure", *HOOKS),
    "reload": ("asgi_name", *BATCHES, *HOOKS, "asgi_reload_timeout"),
    "rollback": ("asgi_name", *BATCHES, *HOOKS, "asgi_rollback_allow_bad", "asgi_rollback_release"),
    "maintain": (*maintain.VARIABLES, *HOOKS),
    "status": (
        "asgi_status_format",
        "asgi_status_file",
        "asgi_status_json",
        "asgi_status_html",
        "asgi_status_ignore",
        "asgi_status_strict",
    ),
    "doctor": ("asgi_doctor_format", "asgi_doctor_file", "asgi_doctor_strict"),
    "tune": tuple(tune.CHECKS),
}
FILES = (*HOOKS, "asgi_maintain_tasks")
REQUIRED = {"asgi_name": "it is: the name of the app"}

# These steer the play: the first host's value decides for all.
OF_THE_PLAY = frozenset(
    [
        "asgi_deploy_batches",
        "asgi_deploy_max_failures",
        "asgi_deploy_on_failure",
        "asgi_maintain_batches",
        "asgi_balancer_hosts",
    ]
)

# One host would write over what another has written.
OF_EACH_HOST = frozenset(["asgi_tune_html", "asgi_tune_json", "asgi_tune_vars_file"])


def problems(context: Context, playbook: str, first: dict[str, Any]) -> list[Problem]:
    """Return the objections to the variables of *playbook*; *first* has those of the first host of the play."""
    found: list[Problem] = []
    for name in VARIABLES[playbook]:
        if name not in context.options:
            if name in REQUIRED:
                found.append(Problem(name, "is not set", REQUIRED[name]))
        elif context.options[name] is None:
            found.append(Problem(name, "is null", "leave it out for the default, or give a value"))
        elif name in FILES:
            found += hook_problems(context, name)
        elif name in CHECKS:
            found += CHECKS[name](name, context.options[name])
    found += _of_the_play(context.options, playbook, first)
    if playbook == "maintain":
        found += maintain.work_problems(context.options)
    found += _of_each_host(context.options, playbook, first)
    if playbook == "tune" and not found:
        found += tune.time_problems(context.options)
    return found


def role_problems(context: Context, playbook: str | None) -> Iterable[Problem]:
    """Return the objections to what the roles may be told; *context* has the roles' options."""
    return tune.role_problems(context) if playbook == "tune" else ()


def _of_the_play(options: dict[str, Any], playbook: str, first: dict[str, Any]) -> Iterator[Problem]:
    for name in VARIABLES[playbook]:
        if name in OF_THE_PLAY and _written(options.get(name)) != _written(first.get(name)):
            here, there = (shown(its[name]) if name in its else "not set" for its in (options, first))
            yield Problem(
                name,
                f"is {here} here and {there} for the first host of the play",
                "give all hosts of a play the same, or a play to each app (-e asgi_hosts=<group>)",
            )


def _written(value: Any) -> Any:
    """Return *value* so that a number is the same as its text."""
    try:
        return str(value)
    except ValueError:
        # too long a number to be written, and refused for that
        return value


def _of_each_host(options: dict[str, Any], playbook: str, first: dict[str, Any]) -> Iterator[Problem]:
    for name in VARIABLES[playbook]:
        if name in OF_EACH_HOST and name in options and options[name] == first.get(name):
            yield Problem(
                name,
                f"is {shown(options[name])} here and for the first host of the play",
                "each host writes its own: put {{ inventory_hostname }} into the path, or tune one host (--limit)",
            )


def _aspects(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, (list, tuple)):
        yield Problem(
            name, f"is {shown(value)}", f'give a list; on the command line as JSON: -e \'{{"{name}": ["workers"]}}\''
        )
        return
    for aspect in value:
        if not isinstance(aspect, str) or aspect not in ASPECTS:
            yield Problem(name, f"contains {shown(aspect)}", f"give some of {', '.join(ASPECTS)}")


CHECKS: dict[str, values.Check] = {
    **maintain.CHECKS,
    **tune.CHECKS,
    "asgi_deploy_batches": values.batches,
    "asgi_deploy_max_failures": values.number(0),
    "asgi_deploy_on_failure": values.one_of(*ON_FAILURE),
    "asgi_doctor_file": values.path,
    "asgi_doctor_format": values.one_of(*FORMATS),
    "asgi_doctor_strict": values.switch,
    "asgi_reload_timeout": values.number(1),
    "asgi_rollback_allow_bad": values.switch,
    "asgi_rollback_release": values.text,
    "asgi_status_format": values.one_of(*FORMATS),
    "asgi_status_file": values.path,
    "asgi_status_json": values.path,
    "asgi_status_html": values.path,
    "asgi_status_ignore": _aspects,
    "asgi_status_strict": values.switch,
}
