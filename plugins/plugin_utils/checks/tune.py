# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables of tune.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import values
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem, shown
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils.tuning import worker_counts
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import SINGLE

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# the defaults of the module tune
SECONDS = {"seconds": 5, "warmup": 2, "budget": 600}


def time_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Object to a round that takes longer than all of them may."""
    given = {name: int(options.get(f"asgi_tune_{name}", default)) for name, default in SECONDS.items()}
    workers = worker_counts(options.get("asgi_tune_workers", []))
    needed = len(workers) * (given["seconds"] + given["warmup"])
    if needed > given["budget"]:
        yield Problem(
            "asgi_tune_budget",
            f"is {given['budget']} s, and {len(workers)} candidates of {given['warmup']} + {given['seconds']} s take {needed}",
            "measure fewer, or for fewer seconds, or give more",
        )


def role_problems(context: Context) -> Iterator[Problem]:
    """Object to what the roles may be told, and tune.yml can do nothing with; *context* has the roles' options."""
    kind = context.options.get("asgi_server_type")
    if kind is not None and SERVERS[kind].plan == SINGLE:
        yield Problem(
            "asgi_server_type",
            f"is {kind}, which is a single process: there is no number of workers to find",
            "leave this host out of tune.yml (--limit), or choose uvicorn_worker",
        )


def _workers(name: str, value: Any) -> Iterator[Problem]:
    try:
        empty = not worker_counts(value)
    except ValueError:
        empty = True
    if empty:
        yield Problem(name, f"is {shown(value)}", "give whole numbers of at least 1, such as 1,2,4")


def _url_path(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        yield Problem(name, f"is {shown(value)}", "give a path of the app, such as '/items?limit=10', without spaces")


def _headers(name: str, value: Any) -> Iterator[Problem]:
    good = isinstance(value, dict) and all(
        isinstance(text, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(key)) and text.isprintable()
        for key, text in value.items()
    )
    if not good:
        # a value may be a token, which has no place on a command line
        yield Problem(
            name,
            "is no dictionary of texts",
            f"give one, in a file: -e @headers.yml with {name}: {{Accept: '*/*'}}",
        )


CHECKS: dict[str, values.Check] = {
    "asgi_tune_body": values.text,
    "asgi_tune_budget": values.number(10),
    "asgi_tune_connections": values.number(1, 1000),
    "asgi_tune_headers": _headers,
    "asgi_tune_html": values.path,
    "asgi_tune_json": values.path,
    "asgi_tune_method": values.one_of(*METHODS),
    "asgi_tune_path": _url_path,
    "asgi_tune_release": values.text,
    "asgi_tune_rounds": values.number(1),
    "asgi_tune_seconds": values.number(1),
    "asgi_tune_vars_file": values.path,
    "asgi_tune_warmup": values.number(0),
    "asgi_tune_with_traffic": values.switch,
    "asgi_tune_workers": _workers,
}
