# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox of an app, as variables for modules that run the app's code outside a slot, and as settings of a unit file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import VARIABLES, properties
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.systemd_unit import value as systemd_value


def sandbox_of(templar, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables in *task_vars* that configure the sandbox, without their prefix. Undefined ones are omitted."""
    names = {name: f"asgi_server_{name}" for name in VARIABLES}
    return {name: templar.template(task_vars[variable]) for name, variable in names.items() if variable in task_vars}


def sandbox_settings(name: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the lines of a unit file for the sandbox of the app *name*; *settings* are the variables without their prefix."""
    return [f"{setting}={rendered(setting, value)}" for setting, value in properties(name, settings)]


def rendered(setting: str, value: Any) -> str:
    """Return *value* in the format of *setting*."""
    text = systemd_value(value)
    # systemd does not expand specifiers in mount options, so undo the doubling of "%".
    return text.replace("%%", "%") if setting == "TemporaryFileSystem" else text
