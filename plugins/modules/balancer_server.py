#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a server out of an HAProxy's traffic, and give it back, without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_server
short_description: Drain a server in HAProxy, or give it its traffic back
version_added: 0.1.0
description:
  - Talks to the runtime API of the HAProxy on the host that it runs on, which is a balancer and not the server itself.
  - With O(state=drained) new requests go to other servers, and those under way end. Then the server is in maintenance, in
    which not even a client whose cookie names it gets there, and idle connections to it are closed.
  - With O(state=ready) it gets requests again as soon as the balancer's health check has passed, as often in a row as the
    configuration wants (C(rise)). In HAProxy itself a server counts as well after maintenance until a check fails.
  - It gives back what it took, and nothing else. A server that somebody else has put into maintenance, or lets drain, is
    found so again. What it took is noted below C(/run/asgi-maintain) on the balancer, so that it is known after an
    interruption, too. What HAProxy is told at run time, it forgets when it is restarted.
  - It tells HAProxy nothing while M(asgi.deploy.haproxy_site) or a renewed certificate has it reloaded, as that would be lost.
    A reload by hand does not wait for it; a server that is in maintenance no longer is no success.
options:
  backend:
    description: Name of the backend.
    type: str
    required: true
  server:
    description: Name of the server in it.
    type: str
    required: true
  state:
    description: What is wanted.
    type: str
    required: true
    choices: [drained, ready]
  timeout:
    description:
      - Seconds. With O(state=drained) as long as requests under way may take, with O(state=ready) until the health check has to
        have passed.
      - A former process of HAProxy that a reload has left is waited for besides, until it gets no requests any more. That is
        at most 70 seconds after the reload.
    type: int
    default: 60
  lingering:
    description:
      - What becomes of sessions that have not ended after O(timeout) seconds, such as WebSockets.
      - V(refuse) lets the server go on serving and fails. V(cut) cuts them. V(leave) leaves them to the server, which gets
        nothing new all the same; RV(sessions) says how many there are.
    type: str
    choices: [refuse, cut, leave]
    default: refuse
  min_servers:
    description: How many other servers of the backend have to take requests, or a server is not drained.
    type: int
    default: 1
  together:
    description: Names of servers that are drained at the same time, and are not counted for O(min_servers).
    type: list
    elements: str
    default: []
  by:
    description: Who does it, for those who find it so.
    type: str
    default: ""
  socket:
    description: Socket of HAProxy's runtime API. It must be of C(level admin).
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    description: Looks, and refuses what it would refuse because of O(min_servers).
    support: full
  diff_mode:
    description: Shows the states of the server.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Drain the host on the balancer
  asgi.deploy.balancer_server:
    backend: asgi_shop
    server: "{{ inventory_hostname }}"
    state: drained
  delegate_to: lb1.example.com

- name: Give it its traffic back
  asgi.deploy.balancer_server:
    backend: asgi_shop
    server: "{{ inventory_hostname }}"
    state: ready
  delegate_to: lb1.example.com
"""

RETURN = r"""
before:
  description: State of the server before, as HAProxy says it.
  type: str
  returned: success
  sample: UP
after:
  description: State of the server afterwards.
  type: str
  returned: success
  sample: MAINT
cut:
  description: How many sessions were cut.
  type: int
  returned: success
sessions:
  description: How many sessions the server still has.
  type: int
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of
from ansible_collections.asgi.deploy.plugins.module_utils.haproxy import (
    LINGERING,
    MAINT,
    Balancer,
    HaproxyError,
    Refused,
    Socket,
)
from ansible_collections.asgi.deploy.plugins.module_utils.layout import BALANCER_SOCKET


def main():
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "state": {"type": "str", "required": True, "choices": ["drained", "ready"]},
            "timeout": {"type": "int", "default": 60},
            "lingering": {"type": "str", "choices": list(LINGERING), "default": LINGERING[0]},
            "min_servers": {"type": "int", "default": 1},
            "together": {"type": "list", "elements": "str", "default": []},
            "by": {"type": "str", "default": ""},
            "socket": {"type": "path", "default": BALANCER_SOCKET},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    began = time.monotonic()
    try:
        balancer = Balancer(Socket(wanted["socket"]).ask, wanted["backend"], wanted["server"])
        before = balancer.look()
        change = _drain if wanted["state"] == "drained" else _give_back
        changed, cut = change(balancer, before, wanted, module.check_mode)
        after = balancer.look()
    except (ValueError, HaproxyError, Refused) as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=reason_of(exc))
    module.exit_json(
        changed=changed,
        before=before.status,
        after=after.status,
        cut=cut,
        sessions=after.sessions,
        seconds=round(time.monotonic() - began, 1),
        diff=_diff(wanted, before, after, changed and module.check_mode),
    )


def _drain(balancer, before, wanted, dry):
    balancer.refuse_too_few(wanted["together"], wanted["min_servers"])
    if dry:
        return before.admin != MAINT, 0
    cut = balancer.take_out(wanted["timeout"], wanted["lingering"], wanted["by"])
    return before.admin != MAINT or cut > 0, cut


def _give_back(balancer, before, wanted, dry):
    if dry:
        return before.out and balancer.mark is not None, 0
    return balancer.give_back(wanted["timeout"]) != "", 0


def _diff(wanted, before, after, planned):
    name = f"{wanted['backend']}/{wanted['server']}"
    then = wanted["state"] if planned else after.status
    return {"before": f"{name}: {before.status}\n", "after": f"{name}: {then}\n"}


if __name__ == "__main__":
    main()
