# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.balancer.balancers_of`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balancers_of
short_description: Which balancers may have traffic for some hosts, and what each has to know
version_added: 0.1.0
description:
  - For C(maintain.yml). Every machine of a list of balancers is to be asked, as another app's may have traffic for the same
    machines; several names in the inventory that lead to one machine are one.
  - A balancer has to know the apps that have the C(asgi_name) of one of its names; one that has none, as HAProxy that this
    collection has not set up, all of them.
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
  description:
    - The backends that each balancer has to know, by the name of the balancer; null for all.
    - Those of the apps of the hosts come first.
  type: dict
  sample:
    lb1-shop: [asgi_shop, asgi_tiles]
    lb3: null
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils import balancer


def balancers_of(balancers, hostvars, hosts):
    try:
        return balancer.balancers_of(balancers, hostvars, hosts)
    except ValueError as exc:
        raise AnsibleFilterError(f"balancers_of: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"balancers_of": balancers_of}
