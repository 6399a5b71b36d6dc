# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of tune.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import values
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import SINGLE
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import worker_counts
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem, shown

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Defaults of the module tune.
SECONDS = {"seconds": 5, "warmup": 2, "budget": 600}


def time_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem if one round takes longer than the whole budget."""
    given = {name: int(options.get(f"asgi_tune_{name}", default)) for name, default in SECONDS.items()}
    workers = worker_counts(options.get("asgi_tune_workers", []))
    needed = len(workers) * (given["seconds"] + given["warmup"])
    if needed > given["budget"]:
        candidates = f"{len(workers)} candidates of {given['warmup']} + {given['seconds']} s"
        yield Problem(
            "tune-budget-too-small", "asgi_tune_budget", f"is {given['budget']} s, but {candidates} take {needed} s"
        )


def role_problems(context: Context) -> Iterator[Problem]:
    """Yield a problem if the server type has no number of workers to tune; *context* contains the roles' options."""
    kind = context.options.get("asgi_server_type")
    if kind is not None and SERVERS[kind].plan == SINGLE:
        fault = f"is {kind}, a single process, so there is no number of workers to tune"
        yield Problem("tune-single-process", "asgi_server_type", fault)


def _workers(name: str, value: Any) -> Iterator[Problem]:
    try:
        empty = not worker_counts(value)
    except ValueError:
        empty = True
    if empty:
        yield Problem("tune-workers-invalid", name, f"is {shown(value)}")


def _url_path(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        yield Problem("tune-path-invalid", name, f"is {shown(value)}")


def _headers(name: str, value: Any) -> Iterator[Problem]:
    valid = isinstance(value, dict) and all(
        isinstance(text, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(key)) and text.isprintable()
        for key, text in value.items()
    )
    if not valid:
        # A value may be a token, so the message omits it, and the remedy keeps it out of the command line.
        remedy = f"set a dictionary of strings in a file: -e @headers.yml with {name}: {{Accept: '*/*'}}"
        yield Problem("tune-headers-invalid", name, "is not a dictionary of request headers", remedy)


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
