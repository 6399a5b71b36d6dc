# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect the variables that configure an app's sandbox, for modules that run the app's code outside a slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import VARIABLES


def sandbox_of(templar, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables in *task_vars* that configure the sandbox, without their prefix. Undefined ones are omitted."""
    names = {name: f"asgi_server_{name}" for name in VARIABLES}
    return {name: templar.template(task_vars[variable]) for name, variable in names.items() if variable in task_vars}
