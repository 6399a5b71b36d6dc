# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables that all roles share."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import check_environment
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import check_name
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.import_path import check_import_path
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.numbers import whole
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem, shown

# With more clients, nginx's workers would need more open files than systemd allows a service by default.
MOST_CLIENTS = 100000


def hook_problems(context: Context, variable: str) -> list[Problem]:
    """Return a problem if the hook *variable* is set but is not the absolute path of an existing file."""
    path = context.options.get(variable)
    # Unlike Path.is_file, os.path.isfile does not raise for a path that is too long.
    if path is None or (isinstance(path, str) and path.startswith("/") and os.path.isfile(context.find(path))):
        return []
    return [Problem("hook-file-missing", variable, f"is {shown(path)}")]


def problems(context: Context) -> Iterator[Problem]:
    """Yield the problems in the shared variables."""
    options = context.options
    name = options.get("asgi_name")
    if "asgi_name" in options:
        try:
            check_name(name)
        except ValueError as exc:
            yield Problem("app-name-invalid", "asgi_name", f"is invalid: {exc}")
    removed = options.get("asgi_uninstall")
    if "asgi_uninstall" in options and removed != name:
        yield Problem("uninstall-name-mismatch", "asgi_uninstall", f"is {removed!r}, but asgi_name is {name!r}")
    if "asgi_module" in options:
        yield from _import_path(options["asgi_module"])
    clients = options.get("asgi_clients", "auto")
    if clients != "auto" and not 1 <= (whole(clients) or 0) <= MOST_CLIENTS:
        remedy = f"use 'auto' or an integer from 1 to {MOST_CLIENTS}"
        yield Problem("clients-invalid", "asgi_clients", f"is {shown(clients)}", remedy)
    try:
        check_environment(options.get("asgi_env", {}))
    except ValueError as exc:
        yield Problem("environment-invalid", "asgi_env", f"is invalid: {exc}")


def _import_path(path: str) -> Iterator[Problem]:
    try:
        check_import_path(path)
    except ValueError as exc:
        fault, remedy = exc.args
        yield Problem(
            "import-path-invalid", "asgi_module", ", ".join(filter(None, (f"is {shown(path)}", fault))), remedy
        )
