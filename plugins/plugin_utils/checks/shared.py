# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the variables that every role shares."""

from __future__ import annotations

import os
import re

from ansible_collections.asgi.deploy.plugins.module_utils.environment import check_environment
from ansible_collections.asgi.deploy.plugins.module_utils.layout import check_name
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem, shown

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def hook_problems(context: Context, variable: str) -> list[Problem]:
    """Return the objection to the hook *variable*, if it is set and is no file to be found from everywhere."""
    path = context.options.get(variable)
    # not Path.is_file, which raises for a path that is too long to be one
    if path is None or (isinstance(path, str) and path.startswith("/") and os.path.isfile(context.find(path))):
        return []
    remedy = (
        "give the absolute path of a file of tasks on the controller, such as {{ inventory_dir }}/hooks/migrate.yml"
    )
    return [Problem(variable, f"is {shown(path)}", remedy)]


def problems(context: Context) -> list[Problem]:
    found = []
    options = context.options
    if "asgi_name" in options:
        try:
            check_name(options["asgi_name"])
        except ValueError as exc:
            found.append(Problem("asgi_name", f"is wrong: {exc}", "give a name such as 'hello' or 'web-shop'"))
    if "asgi_uninstall" in options and options["asgi_uninstall"] != options.get("asgi_name"):
        found.append(
            Problem(
                "asgi_uninstall",
                f"is {options['asgi_uninstall']!r}, and asgi_name is {options.get('asgi_name')!r}",
                "name the app that is to be removed, and restrict the run to its hosts with --limit",
            )
        )
    if "asgi_module" in options and not MODULE.fullmatch(options["asgi_module"]):
        found.append(
            Problem(
                "asgi_module",
                f"is {options['asgi_module']!r}",
                "give the import path of the application as 'package.module:attribute', for instance 'main:app'; "
                "a call is not supported: give its result a name in a module",
            )
        )
    try:
        check_environment(options.get("asgi_env", {}))
    except ValueError as exc:
        found.append(Problem("asgi_env", f"is wrong: {exc}", "give names such as DATABASE_URL and scalar values"))
    return found
