#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers a backend of an HAProxy has, and how they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_info
short_description: How the servers of an HAProxy backend are
version_added: 0.1.0
description: Asks the runtime API of the HAProxy on the host that it runs on. Reads only.
options:
  backend:
    description: Name of the backend.
    type: str
    required: true
  socket:
    description: Socket of HAProxy's runtime API.
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    description: Reads in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: See which servers take requests
  asgi.deploy.balancer_info:
    backend: asgi_shop
  delegate_to: lb1.example.com
  register: found
"""

RETURN = r"""
servers:
  description: The servers, by name.
  type: dict
  returned: success
  sample: {web1: {admin: maint, usable: false, sessions: 0, status: MAINT, taken: {found: ready, at: 2026-11-27 02:40, by: alice}}}
  contains:
    admin:
      description: What it was told, V(ready), V(drain) or V(maint).
      type: str
    usable:
      description: Whether new requests go there.
      type: bool
    sessions:
      description: How many requests and upgraded connections are under way.
      type: int
    status:
      description: State as HAProxy says it.
      type: str
    taken:
      description: What M(asgi.deploy.balancer_server) has noted when it drained the server; null if it did not.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.haproxy import Balancer, HaproxyError, Socket, servers


def main():
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "required": True},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
        },
        supports_check_mode=True,
    )
    ask, backend = Socket(module.params["socket"]).ask, module.params["backend"]
    try:
        found = {
            name: _describe(server, Balancer(ask, backend, name).mark) for name, server in servers(ask, backend).items()
        }
    except (ValueError, HaproxyError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, servers=found)


def _describe(server, mark):
    return {
        "admin": server.admin,
        "usable": server.usable,
        "sessions": server.sessions,
        "status": server.status,
        "taken": mark if server.out else None,
    }


if __name__ == "__main__":
    main()
