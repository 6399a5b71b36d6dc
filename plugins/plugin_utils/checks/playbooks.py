# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables of the playbooks, which are no role's.

They are given with ``-e name=value`` more often than not, which makes a text of everything: ``1`` and ``"1"`` are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ansible.module_utils.parsing.convert_bool import BOOLEANS
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.shared import hook_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import batch_sizes
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils.status import ASPECTS
from ansible_collections.asgi.deploy.plugins.plugin_utils.tuning import worker_counts
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import SINGLE

ON_FAILURE = ("rollback", "stop")
FORMATS = ("table", "json")

BATCHES = ("asgi_deploy_batches", "asgi_deploy_max_failures")
HOOKS = ("asgi_deploy_hook_host_before", "asgi_deploy_hook_host_after")
REBOOT = ("true", "false", "if-required")
LINGERING = ("end", "cut", "refuse")
KEPT = ("return", "drained")
# what there is to do on a drained host; at least one of them
WORK = ("asgi_maintain_tasks", "asgi_maintain_upgrade", "asgi_maintain_reboot")
VARIABLES = {
    "deploy": (*BATCHES, "asgi_deploy_on_failure", *HOOKS),
    "reload": ("asgi_name", *BATCHES, *HOOKS, "asgi_reload_timeout"),
    "rollback": ("asgi_name", *BATCHES, *HOOKS, "asgi_rollback_allow_bad"),
    "maintain": (
        "asgi_name",
        "asgi_balancer_hosts",
        *WORK,
        "asgi_maintain_batches",
        "asgi_deploy_max_failures",
        "asgi_maintain_min_servers",
        "asgi_maintain_drain_timeout",
        "asgi_maintain_lingering",
        "asgi_maintain_on_failure",
        "asgi_maintain_return_timeout",
        *HOOKS,
    ),
    "status": (
        "asgi_status_format",
        "asgi_status_file",
        "asgi_status_json",
        "asgi_status_html",
        "asgi_status_ignore",
        "asgi_status_strict",
    ),
    "tune": (
        "asgi_tune_body",
        "asgi_tune_budget",
        "asgi_tune_connections",
        "asgi_tune_headers",
        "asgi_tune_html",
        "asgi_tune_json",
        "asgi_tune_method",
        "asgi_tune_path",
        "asgi_tune_release",
        "asgi_tune_rounds",
        "asgi_tune_seconds",
        "asgi_tune_vars_file",
        "asgi_tune_warmup",
        "asgi_tune_with_traffic",
        "asgi_tune_workers",
    ),
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

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# the defaults of the module tune
TUNE_SECONDS = {"seconds": 5, "warmup": 2, "budget": 600}


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
        found += _work(context.options)
    found += _of_each_host(context.options, playbook, first)
    if playbook == "tune" and not found:
        found += _tune_time(context.options)
    return found


def role_problems(context: Context, playbook: str | None) -> Iterator[Problem]:
    """Object to what the roles may be told, and *playbook* can do nothing with; *context* has the roles' options."""
    kind = context.options.get("asgi_server_type")
    if playbook == "tune" and kind is not None and SERVERS[kind].plan == SINGLE:
        yield Problem(
            "asgi_server_type",
            f"is {kind}, which is a single process: there is no number of workers to find",
            "leave this host out of tune.yml (--limit), or choose uvicorn_worker",
        )


def _work(options: dict[str, Any]) -> Iterator[Problem]:
    """Object if there is nothing to do on the host."""
    if all(str(options.get(name, "")).lower() in ("", "false", "no", "off", "0") for name in WORK):
        yield Problem(
            "asgi_maintain_tasks",
            "is not set",
            "it is: a file of tasks to run on each host while it is drained; or say asgi_maintain_upgrade=true to upgrade its "
            "packages, or asgi_maintain_reboot=true or =if-required",
        )


def _of_the_play(options: dict[str, Any], playbook: str, first: dict[str, Any]) -> Iterator[Problem]:
    for name in VARIABLES[playbook]:
        if name in OF_THE_PLAY and str(options.get(name)) != str(first.get(name)):
            yield Problem(
                name,
                f"is {options.get(name, 'not set')!r} here and {first.get(name, 'not set')!r} for the first host of the play",
                "give all hosts of a play the same, or a play to each app (-e asgi_hosts=<group>)",
            )


def _of_each_host(options: dict[str, Any], playbook: str, first: dict[str, Any]) -> Iterator[Problem]:
    for name in VARIABLES[playbook]:
        if name in OF_EACH_HOST and name in options and options[name] == first.get(name):
            yield Problem(
                name,
                f"is {options[name]!r} here and for the first host of the play",
                "each host writes its own: put {{ inventory_hostname }} into the path, or tune one host (--limit)",
            )


def _tune_time(options: dict[str, Any]) -> Iterator[Problem]:
    """Object to a round that takes longer than all of them may."""
    values = {name: int(options.get(f"asgi_tune_{name}", default)) for name, default in TUNE_SECONDS.items()}
    workers = worker_counts(options.get("asgi_tune_workers", []))
    needed = len(workers) * (values["seconds"] + values["warmup"])
    if needed > values["budget"]:
        yield Problem(
            "asgi_tune_budget",
            f"is {values['budget']} s, and {len(workers)} candidates of {values['warmup']} + {values['seconds']} s take {needed}",
            "measure fewer, or for fewer seconds, or give more",
        )


def _workers(name: str, value: Any) -> Iterator[Problem]:
    try:
        empty = not worker_counts(value)
    except ValueError:
        empty = True
    if empty:
        yield Problem(name, f"is {value!r}", "give whole numbers of at least 1, such as 1,2,4")


def _url_path(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        yield Problem(name, f"is {value!r}", "give a path of the app, such as '/items?limit=10', without spaces")


def _headers(name: str, value: Any) -> Iterator[Problem]:
    good = isinstance(value, dict) and all(
        isinstance(text, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(key)) and text.isprintable()
        for key, text in value.items()
    )
    if not good:
        # a value may be a token
        yield Problem(
            name,
            "is no dictionary of texts",
            f'give one; on the command line as JSON: -e \'{{"{name}": {{"Accept": "*/*"}}}}\'',
        )


def _text(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.strip():
        yield Problem(name, "is no text", "give a text")


def _batches(name: str, value: Any) -> Iterator[Problem]:
    try:
        # what a share comes to does not matter here
        batch_sizes(value, 100)
    except ValueError as exc:
        fault, _colon, remedy = str(exc).partition(": ")
        yield Problem(name, f"is {value!r}: {fault}", remedy)


def _number(least: int, most: int | None = None) -> Callable[[str, Any], Iterator[Problem]]:
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"

    def check(name: str, value: Any) -> Iterator[Problem]:
        good = not isinstance(value, bool) and str(value).isdecimal() and int(value) >= least
        if not good or (most is not None and int(value) > most):
            yield Problem(name, f"is {value!r}", f"give a whole number {limits}")

    return check


def _one_of(*choices: str) -> Callable[[str, Any], Iterator[Problem]]:
    def check(name: str, value: Any) -> Iterator[Problem]:
        if value not in choices:
            yield Problem(name, f"is {value!r}", f"give {' or '.join(map(repr, choices))}")

    return check


def _reboot(name: str, value: Any) -> Iterator[Problem]:
    # in YAML, true and false without quotes are no texts
    if str(value).lower() not in REBOOT:
        yield Problem(name, f"is {value!r}", "give true, false or 'if-required'")


def _switch(name: str, value: Any) -> Iterator[Problem]:
    if (value.lower() if isinstance(value, str) else value) not in BOOLEANS:
        yield Problem(name, f"is {value!r}", "give true or false")


def _path(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value.strip():
        yield Problem(name, f"is {value!r}", "give the path of a file on the controller")


def _aspects(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, (list, tuple)):
        yield Problem(
            name, f"is {value!r}", f'give a list; on the command line as JSON: -e \'{{"{name}": ["workers"]}}\''
        )
        return
    for aspect in value:
        if aspect not in ASPECTS:
            yield Problem(name, f"contains {aspect!r}", f"give some of {', '.join(ASPECTS)}")


CHECKS: dict[str, Callable[[str, Any], Iterator[Problem]]] = {
    "asgi_deploy_batches": _batches,
    "asgi_deploy_max_failures": _number(0),
    "asgi_deploy_on_failure": _one_of(*ON_FAILURE),
    "asgi_maintain_batches": _batches,
    "asgi_maintain_drain_timeout": _number(0),
    "asgi_maintain_lingering": _one_of(*LINGERING),
    "asgi_maintain_min_servers": _number(0),
    "asgi_maintain_on_failure": _one_of(*KEPT),
    "asgi_maintain_reboot": _reboot,
    "asgi_maintain_return_timeout": _number(1),
    "asgi_maintain_upgrade": _switch,
    "asgi_reload_timeout": _number(1),
    "asgi_rollback_allow_bad": _switch,
    "asgi_status_format": _one_of(*FORMATS),
    "asgi_status_file": _path,
    "asgi_status_json": _path,
    "asgi_status_html": _path,
    "asgi_status_ignore": _aspects,
    "asgi_status_strict": _switch,
    "asgi_tune_body": _text,
    "asgi_tune_budget": _number(10),
    "asgi_tune_connections": _number(1, 1000),
    "asgi_tune_headers": _headers,
    "asgi_tune_html": _path,
    "asgi_tune_json": _path,
    "asgi_tune_method": _one_of(*METHODS),
    "asgi_tune_path": _url_path,
    "asgi_tune_release": _text,
    "asgi_tune_rounds": _number(1),
    "asgi_tune_seconds": _number(1),
    "asgi_tune_vars_file": _path,
    "asgi_tune_warmup": _number(0),
    "asgi_tune_with_traffic": _switch,
    "asgi_tune_workers": _workers,
}
