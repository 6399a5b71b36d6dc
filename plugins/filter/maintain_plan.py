# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :mod:`plugin_utils.maintain`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: maintain_plan
short_description: In which order hosts are drained and worked on, and which servers are drained for each
version_added: 0.1.0
description: For C(maintain.yml), from what M(asgi.deploy.balancer_info) has found on each balancer.
positional: _input, balancers, known
options:
  _input:
    description: The backend of each host, by the host's name.
    type: dict
    required: true
  balancers:
    description: The C(backends) of M(asgi.deploy.balancer_info), for each balancer by name.
    type: dict
    required: true
  known:
    description: The backends that each balancer has to know, as P(asgi.deploy.balancers_of#filter) has returned them.
    type: dict
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the order
  ansible.builtin.debug:
    msg: "{{ (hosts | asgi.deploy.maintain_plan({'lb1': found.backends}, {'lb1': ['asgi_shop']})).order }}"
  vars:
    hosts: {web1: asgi_shop, web2: asgi_shop}
"""

RETURN = r"""
_value:
  description: How the hosts are gone through.
  type: dict
  contains:
    order:
      description: The hosts, those that an earlier run has left drained first, without those that go along with another one.
      type: list
      elements: str
    servers:
      description: The servers that are drained for each host, each with C(balancer), C(backend) and C(server).
      type: dict
    along:
      description: The hosts that share a machine with another one of the play, and with which one they go.
      type: dict
    left:
      description: The hosts that an earlier run has left drained.
      type: list
      elements: str
    balancers:
      description: The balancers that have to know each host; none if nobody could take its traffic.
      type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.maintain import maintain_plan


def plan(hosts, balancers, known):
    try:
        return maintain_plan(hosts, balancers, known)
    except ValueError as exc:
        raise AnsibleFilterError(f"maintain: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"maintain_plan": plan}
