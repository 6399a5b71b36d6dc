# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect observations with the module doctor, and compare them with the inventory, which stays on the controller."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.doctor import verdicts

MODULE = "asgi.deploy.doctor"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        expected = arguments.pop("expected", None)
        result.update(printable(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)))
        if "observations" in result:
            result["verdicts"] = [verdict._asdict() for verdict in verdicts(result["observations"], expected)]
        return result
