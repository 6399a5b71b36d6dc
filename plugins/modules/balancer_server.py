#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain a server in HAProxy and make it ready again without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_server
short_description: Drain a server in HAProxy, or make it ready again
version_added: 1.0.0
description:
  - Uses the runtime API of the HAProxy on the host that the module runs on, which is the load balancer and not the server itself.
  - With O(state=drained) HAProxy sends new requests to other servers and waits for the open requests of this server to end. Then
    the server is set to maintenance, in which it gets no request even from clients with a cookie for it, and its idle connections
    are closed.
  - With O(state=ready) the server gets requests again after HAProxy's health check has passed as often in a row as the
    configuration requires (C(rise)). HAProxy itself considers a server healthy after maintenance until a check fails.
  - O(state=ready) only reverses what O(state=drained) has changed. A server that was in maintenance or draining before is returned
    to that state. The module records the previous state below C(/run/asgi-maintain) on the load balancer, so that the record survives
    an interrupted run. HAProxy itself loses changes of its runtime API when it is restarted.
  - The module waits while M(asgi.deploy.haproxy_site) or a certificate renewal reloads HAProxy, because changes of the runtime API
    during a reload are lost. It does not wait for a reload by hand; if the server is no longer in maintenance afterwards, the module
    fails.
options:
  backend:
    description: Name of the backend.
    type: str
    required: true
  server:
    description: Name of the server in the backend.
    type: str
    required: true
  state:
    description: Desired state of the server.
    type: str
    required: true
    choices: [drained, ready]
  timeout:
    description:
      - Timeout in seconds. With O(state=drained), the module waits for the open requests to end, and with O(state=ready) for the health
        check to pass.
      - In addition, the module waits until an old HAProxy process, which a reload has left running, gets no more requests. This takes
        at most 70 seconds after the reload.
    type: int
    default: 60
  lingering:
    description:
      - How to handle sessions that have not ended after O(timeout) seconds, such as WebSockets.
      - V(refuse) keeps the server in service and fails. V(cut) closes the sessions. V(leave) keeps the sessions open, although the
        server gets no new requests; RV(sessions) is their number.
    type: str
    choices: [refuse, cut, leave]
    default: refuse
  min_servers:
    description: Number of other servers of the backend that must take requests. If fewer do, the module fails and does not drain the
      server.
    type: int
    default: 1
  together:
    description: Names of servers that are drained at the same time. They do not count for O(min_servers).
    type: list
    elements: str
    default: []
  by:
    description: Name of the person who drains the server, recorded with the previous state.
    type: str
    default: ""
  socket:
    description: Socket of HAProxy's runtime API. It must have C(level admin).
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    description: Changes nothing, but fails if too few servers would remain (O(min_servers)).
    support: full
  diff_mode:
    description: Shows the states of the server.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Drain the host on the load balancer
  asgi.deploy.balancer_server:
    backend: asgi_shop
    server: "{{ inventory_hostname }}"
    state: drained
  delegate_to: lb1.example.com

- name: Return the traffic to the host
  asgi.deploy.balancer_server:
    backend: asgi_shop
    server: "{{ inventory_hostname }}"
    state: ready
  delegate_to: lb1.example.com
"""

RETURN = r"""
before:
  description: HAProxy's status of the server before the change.
  type: str
  returned: success
  sample: UP
after:
  description: HAProxy's status of the server after the change.
  type: str
  returned: success
  sample: MAINT
cut:
  description: Number of closed sessions.
  type: int
  returned: success
sessions:
  description: Number of sessions that the server still has.
  type: int
  returned: success
seconds:
  description: Duration in seconds.
  type: float
  returned: success
"""

import time

from ansible_collections.asgi.deploy.plugins.module_utils._balancer.haproxy import (
    LINGERING,
    MAINT,
    Balancer,
    Socket,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import BALANCER_SOCKET


def main():
    module = HostModule(
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
    with module.reporting():
        balancer = Balancer(Socket(wanted["socket"]).send, wanted["backend"], wanted["server"])
        before = balancer.read()
        change = _drain if wanted["state"] == "drained" else _undrain
        changed, cut = change(balancer, before, wanted, module.check_mode)
        after = balancer.read()
    module.exit_json(
        changed=changed,
        before=before.status,
        after=after.status,
        cut=cut,
        sessions=after.sessions,
        seconds=round(time.monotonic() - began, 1),
        diff=_diff(wanted, before, after, changed and module.check_mode),
    )


def _drain(balancer, before, wanted, check_mode):
    balancer.refuse_too_few(wanted["together"], wanted["min_servers"])
    if check_mode:
        return before.admin != MAINT, 0
    cut = balancer.take_out(wanted["timeout"], wanted["lingering"], wanted["by"])
    return before.admin != MAINT or cut > 0, cut


def _undrain(balancer, before, wanted, check_mode):
    if check_mode:
        return before.out and balancer.mark is not None, 0
    return balancer.give_back(wanted["timeout"]) != "", 0


def _diff(wanted, before, after, planned):
    name = f"{wanted['backend']}/{wanted['server']}"
    new = wanted["state"] if planned else after.status
    return {"before": f"{name}: {before.status}\n", "after": f"{name}: {new}\n"}


if __name__ == "__main__":
    main()
