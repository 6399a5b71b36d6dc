# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pass the variables that configure the app's sandbox to the module release_command."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.sandbox import sandbox_of

MODULE = "asgi.deploy.release_command"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True
    _supports_diff = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = {**self._task.args, "sandbox": sandbox_of(self._templar, task_vars or {})}
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result.update(
            self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars, wrap_async=wrap_async)
        )
        return result
