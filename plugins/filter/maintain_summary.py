# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :mod:`plugin_utils.maintain`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: maintain_summary
short_description: What C(maintain.yml) has come to on each host
version_added: 0.1.0
description: Tells of each host what became of it and how the balancers that have to know it find it now.
positional: _input, plan, balancers, hostvars
options:
  _input:
    description: The backend of each host, by the host's name.
    type: dict
    required: true
  plan:
    description: What P(asgi.deploy.maintain_plan#filter) has returned.
    type: dict
    required: true
  balancers:
    description: The C(backends) of M(asgi.deploy.balancer_info), for each balancer by name, after the work.
    type: dict
    required: true
  hostvars:
    description: The variables of each host, as C(hostvars) has them.
    type: dict
    required: true
  lost:
    description: The hosts that have left the play, as they cannot be reached for example.
    type: list
    elements: str
    default: []
  failed:
    description: The hosts on which something failed.
    type: list
    elements: str
    default: []
  check_mode:
    description: Whether the hosts have been gone through in check mode, so that nothing is done yet.
    type: bool
    default: false
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Say what it has come to
  ansible.builtin.debug:
    msg: "{{ backends | asgi.deploy.maintain_summary(plan, found, hostvars, failed=['web3']) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.maintain import host_facts, maintain_rows, maintain_summary


def summary(hosts, plan, balancers, hostvars, lost=(), failed=(), check_mode=False):
    facts = {name: host_facts(name, hostvars[name], lost, failed, check_mode) for name in hosts}
    return maintain_summary(maintain_rows(hosts, plan, balancers, facts))


class FilterModule:
    def filters(self):
        return {"maintain_summary": summary}
