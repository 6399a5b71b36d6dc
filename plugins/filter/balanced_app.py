# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.balancer.balanced_app`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balanced_app
short_description: What a balancer has to know of an app
version_added: 0.2.0
description:
  - Picks the hosts of an app from a list of hosts of the inventory, and gathers what a load balancer in front of them has
    to know. What the inventory does not say has the default of the roles P(asgi.deploy.asgi_proxy#role) and
    P(asgi.deploy.asgi_server#role).
positional: _input, hostvars, name
options:
  _input:
    description: Names of hosts of the inventory.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  name:
    description: Name of the app (C(asgi_name)).
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show which servers an app has
  ansible.builtin.debug:
    msg: "{{ (groups['asgi'] | asgi.deploy.balanced_app(hostvars, 'shop')).servers }}"
"""

RETURN = r"""
_value:
  description:
    - Under V(servers), for each host of the app, the keys V(name), V(address) and V(port).
    - The keys V(server_names), V(health_url), V(health_statuses), V(verify), V(server_timeout) and V(websocket_timeout) (both in
      seconds).
    - Under V(trusted), for each host of the app, whose word on the client it takes, C(asgi_proxy_trusted).
    - Under V(proxy_protocol) the hosts that no balancer of this collection could work with.
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils import balancer


def balanced_app(hosts, hostvars, name):
    try:
        return balancer.balanced_app(hosts, hostvars, name)
    except ValueError as exc:
        raise AnsibleFilterError(f"balanced_app: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"balanced_app": balanced_app}
