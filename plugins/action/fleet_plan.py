# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan rolling maintenance, or compare the rollback targets of the hosts of a play."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.deploy import planned_rollbacks, rollback_conflicts
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.maintenance import (
    backend_of,
    balancers_to_query,
    maintenance_plan,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.play_action import PlayAction
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure


def _rollback(apps, task_vars, options):
    left = {host: apps[host] for host in task_vars["ansible_play_hosts"]}
    return {"conflicts": rollback_conflicts(planned_rollbacks(left, task_vars["hostvars"]))}


def _maintenance(apps, task_vars, options):
    required = balancers_to_query(options["balancers"], task_vars["hostvars"], apps)
    if options["observed"] is None:
        return {"balancers": list(required)}
    backends = {host: backend_of(app) for host, app in apps.items()}
    return {"plan": maintenance_plan(backends, options["observed"], required)}


CHANGES = {"maintenance": _maintenance, "rollback": _rollback}


class ActionModule(PlayAction):
    ARGUMENTS: ClassVar = {
        "change": {"type": "str", "required": True, "choices": list(CHANGES)},
        "balancers": {"type": "list", "elements": "str", "default": []},
        "observed": {"type": "dict"},
    }

    def compute(self, task_vars, options):
        try:
            return CHANGES[options["change"]](self.of_hosts(task_vars, "asgi_name"), task_vars, options)
        except ValueError as exc:
            raise ActionFailure(f"{exc}; nothing has been changed") from exc
