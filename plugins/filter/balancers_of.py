# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.balancer.balancers_of`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balancers_of
short_description: The balancers of the apps of some hosts
version_added: 0.2.0
description:
  - Picks from a list of balancers those that have the C(asgi_name) of one of the hosts, and those that have none, as
    HAProxy that this collection has not set up.
positional: _input, hostvars, hosts
options:
  _input:
    description: Names of balancers in the inventory.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  hosts:
    description: Names of hosts of the inventory.
    type: list
    elements: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the balancers of this play
  ansible.builtin.debug:
    msg: "{{ groups['asgi_balancers'] | asgi.deploy.balancers_of(hostvars, ansible_play_hosts_all) }}"
"""

RETURN = r"""
_value:
  description: The names of the balancers, in the order given.
  type: list
  elements: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.balancer import balancers_of


class FilterModule:
    def filters(self):
        return {"balancers_of": balancers_of}
