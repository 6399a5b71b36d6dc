# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base of the action plugins that only read the variables of a play."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.plugins.action import ActionBase


class PlayAction(ActionBase):
    """An action plugin that runs on the controller only, without a connection to the host."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {}
    REQUIRED_IF: ClassVar[list[tuple[str, str, list[str]]]] = []

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=self.ARGUMENTS, required_if=self.REQUIRED_IF)
        return {**result, "changed": False, **self.compute(task_vars or {}, options)}

    def of_hosts(self, task_vars: dict[str, Any], variable: str) -> dict[str, Any]:
        """Return the value of *variable* for each host of the play, None if it is not set.

        Play variables, such as ``vars`` of an import_playbook, override the inventory on all hosts and are missing from ``hostvars``.
        """
        hosts, hostvars = task_vars["ansible_play_hosts_all"], task_vars["hostvars"]
        here = self._templar.template(task_vars[variable]) if variable in task_vars else None
        if hostvars[task_vars["inventory_hostname"]].get(variable) != here:
            return dict.fromkeys(hosts, here)
        return {host: hostvars[host].get(variable) for host in hosts}

    def compute(self, task_vars: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        """Return the result of the action with *options*; ``task_vars["hostvars"]`` has the variables of all hosts."""
        raise NotImplementedError
