#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return the servers of HAProxy and their states."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_info
short_description: Return the servers of HAProxy and their states
version_added: 1.0.0
description: Queries HAProxy's runtime API on the load balancer, which is the host that the module runs on. Changes nothing.
options:
  socket:
    description: Socket of HAProxy's runtime API.
    type: path
    default: /run/haproxy/admin.sock
extends_documentation_fragment:
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Query the servers of the load balancer
  asgi.deploy.balancer_info:
  delegate_to: lb1.example.com
  register: found
"""

RETURN = r"""
backends:
  description: Maps each backend to its servers by name.
  type: dict
  returned: success
  sample:
    asgi_shop:
      web1: {address: 10.0.0.11, admin: ready, usable: true, sessions: 3, status: UP, taken: null}
      web2: {address: 10.0.0.12, admin: maint, usable: false, sessions: 0, status: MAINT, taken: {found: ready, by: alice}}
  contains:
    address:
      description: Address of the server.
      type: str
    admin:
      description: Administrative state, V(ready), V(drain) or V(maint).
      type: str
    usable:
      description: Whether the server receives new requests.
      type: bool
    sessions:
      description: Number of active requests and upgraded connections.
      type: int
    status:
      description: Status of the server as HAProxy reports it.
      type: str
    taken:
      description: The previous state (C(found)) and the person who drained the server (C(by)), as recorded by
        M(asgi.deploy.balancer_server). Null if that module has not drained the server.
      type: dict
"""

from ansible_collections.asgi.deploy.plugins.module_utils._balancer.haproxy import Balancer, Socket, backends
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import BALANCER_SOCKET


def main():
    module = HostModule(
        argument_spec={"socket": {"type": "path", "default": BALANCER_SOCKET}}, supports_check_mode=True
    )
    send = Socket(module.params["socket"]).send
    with module.reporting():
        found = {
            backend: {name: _describe(server, Balancer(send, backend, name)) for name, server in servers.items()}
            for backend, servers in backends(send).items()
        }
    module.exit_json(changed=False, backends=found)


def _describe(server, balancer):
    return {
        "address": server.address,
        "admin": server.admin,
        "usable": server.usable,
        "sessions": server.sessions,
        "status": server.status,
        # once the server is in service again, the mark is outdated
        "taken": balancer.mark if server.out else None,
    }


if __name__ == "__main__":
    main()
