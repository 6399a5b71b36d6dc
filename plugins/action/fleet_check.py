# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail if the hosts of a play clash or their balancers have problems."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.claims import shared_claims
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.play_action import PlayAction
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.vrrp import balancer_problems


def _claim_problems(hosts, hostvars, register):
    clashes = shared_claims(hosts, hostvars, register)
    return ["nothing has been changed:", *clashes] if clashes else []


CHECKS = {"claims": _claim_problems, "balancers": balancer_problems}


class ActionModule(PlayAction):
    ARGUMENTS: ClassVar = {
        "check": {"type": "str", "required": True, "choices": list(CHECKS)},
        "register": {"type": "str", "required": True},
    }

    def compute(self, task_vars, options):
        check = CHECKS[options["check"]]
        hosts = list(task_vars["ansible_play_hosts"])
        problems = printable(check(hosts, task_vars["hostvars"], options["register"]))
        # a list, because Ansible prints one line for each item
        return {"failed": True, "msg": problems} if problems else {"hosts": hosts}
