# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.balancer.peers`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balancer_peers
short_description: The addresses of the balancers of an app
version_added: 0.2.0
description:
  - Picks the balancers of an app from a list of hosts of the inventory, and tells where they reach each other, in the order
    of that list and each address once.
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
- name: Show the balancers of an app
  ansible.builtin.debug:
    msg: "{{ groups['asgi_balancers'] | asgi.deploy.balancer_peers(hostvars, 'shop') }}"
"""

RETURN = r"""
_value:
  description: C(asgi_balancer_address) of each, else C(ansible_host), else the name in the inventory.
  type: list
  elements: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.balancer import peers


class FilterModule:
    def filters(self):
        return {"balancer_peers": peers}
