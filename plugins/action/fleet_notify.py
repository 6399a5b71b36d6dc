# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a notification about the change of each app of a play to its webhook."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.notification import MARKERS, host_of, notification
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.play_action import PlayAction
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.webhook import post

URL = "asgi_deploy_notify_url"
HEADERS = "asgi_deploy_notify_headers"
FAILED_GROUP = "asgi_deploy_failed"


class ActionModule(PlayAction):
    ARGUMENTS: ClassVar = {
        "change": {"type": "str", "required": True, "choices": list(MARKERS)},
        "site": {"type": "str"},
        "unreachable": {"type": "list", "elements": "str", "default": []},
        "stopped": {"type": "bool", "default": False},
    }

    def compute(self, task_vars, options):
        urls = self.of_hosts(task_vars, URL)
        if self._task.check_mode or not any(urls.values()):
            return {}
        apps, headers = self.of_hosts(task_vars, "asgi_name"), self.of_hosts(task_vars, HEADERS)
        change, warnings = options["change"], []
        for app in dict.fromkeys(apps.values()):
            hosts = [host for host, name in apps.items() if name == app]
            # One notification describes all hosts of an app, so one of them may have the URL for all.
            sender = next((host for host in hosts if urls[host]), None)
            if sender is None:
                continue
            found = notification(change, app, self._hosts(task_vars, hosts, app, options), options["stopped"])
            fault = found and post(urls[sender], headers[sender] or {}, printable(found))
            if fault:
                warnings.append(f"{app}: the notification about this {change} was not delivered to {URL}: {fault}")
        return {"warnings": printable(warnings)} if warnings else {}

    def _hosts(self, task_vars, names, app, options):
        """Return the hosts with these *names*."""
        failed = task_vars.get("groups", {}).get(FAILED_GROUP, ())
        return {
            name: host_of(
                task_vars["hostvars"][name],
                options["change"],
                app,
                failed=name in failed,
                unreachable=name in options["unreachable"],
                site_register=options["site"],
            )
            for name in names
        }
