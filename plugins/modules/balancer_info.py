#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers an HAProxy has, and how they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: balancer_info
short_description: How the servers of an HAProxy are
version_added: 0.1.0
description: Asks the runtime API of the HAProxy on the host that it runs on. Reads only.
options:
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
  delegate_to: lb1.example.com
  register: found
"""

RETURN = r"""
backends:
  description: The servers by name, for each backend by name.
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
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of
from ansible_collections.asgi.deploy.plugins.module_utils.haproxy import Balancer, HaproxyError, Socket, backends
from ansible_collections.asgi.deploy.plugins.module_utils.layout import BALANCER_SOCKET


def main():
    module = AnsibleModule(
        argument_spec={"socket": {"type": "path", "default": BALANCER_SOCKET}}, supports_check_mode=True
    )
    ask = Socket(module.params["socket"]).ask
    try:
        found = {
            backend: {name: _describe(server, Balancer(ask, backend, name)) for name, server in servers.items()}
            for backend, servers in backends(ask).items()
        }
    except (ValueError, HaproxyError) as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=reason_of(exc))
    module.exit_json(changed=False, backends=found)


def _describe(server, balancer):
    return {
        "address": server.address,
        "admin": server.admin,
        "usable": server.usable,
        "sessions": server.sessions,
        "status": server.status,
        # a mark of a server that serves says nothing
        "taken": balancer.mark if server.out else None,
    }


if __name__ == "__main__":
    main()
