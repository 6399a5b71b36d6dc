# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pass the app, the release and the environment of a hook to the module release_command, and the variables that configure the sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.sandbox import sandbox_of

MODULE = "asgi.deploy.release_command"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True
    _supports_diff = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = {**self._task.args, **self._of_app(task_vars or {})}
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result.update(
            self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars, wrap_async=wrap_async)
        )
        return result

    def _of_app(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the *variables* of the app determine. The options of the task take precedence."""
        given = self._task.args
        options = {"sandbox": sandbox_of(self._templar, variables)}
        if given.get("name") is None and "asgi_name" in variables:
            options["name"] = self._templar.template(variables["asgi_name"])
        if given.get("release") is None and "asgi_release" in variables:
            options["release"] = self._templar.template(variables["asgi_release"])["id"]
        app = self._templar.template(variables.get("asgi_env", {}))
        own = given.get("environment") or {}
        environment = {**_dictionary("asgi_env", app), **_dictionary("environment", own)}
        # JSON, because Ansible would mask each value of a dictionary, such as "1", in the whole output. Omitted if empty, because
        # Ansible would mask "{}", too.
        options["environment"] = json.dumps(environment, default=str) if environment else None
        return options


def _dictionary(source: str, value: Any) -> Mapping[str, Any]:
    """Return *value*, a dictionary or its JSON. Messages never quote it, because it contains secrets."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, Mapping):
        raise ActionFailure(
            f"{source} is neither a dictionary nor the JSON of one -> set environment variables by name"
        )
    return value
