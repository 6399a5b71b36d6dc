# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._fleet.balancer.peers`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balancer_peers
short_description: Addresses of the load balancers of an app
version_added: 1.0.0
description:
  - Selects the load balancers of an app from a list of inventory hosts, and returns the distinct addresses under which they reach
    each other, in the order of the list.
positional: _input, hostvars, name
extends_documentation_fragment: asgi.deploy.app_hosts
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
  description: C(asgi_balancer_address) of each load balancer; by default C(ansible_host), or else the inventory name.
  type: list
  elements: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import peers


class FilterModule:
    def filters(self):
        return {"balancer_peers": peers}
