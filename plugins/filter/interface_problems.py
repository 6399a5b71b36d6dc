# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._fleet.vrrp.interface_problems`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: interface_problems
short_description: List the problems of VRRP on an interface
version_added: 1.0.0
description:
  - Compares the interface and address configured for keepalived with those of the host.
positional: _input, interface, address
options:
  _input:
    description: Addresses by interface, as M(asgi.deploy.host_info) returns them.
    type: dict
    required: true
  interface:
    description: Name of the interface.
    type: str
    required: true
  address:
    description: The address from which keepalived sends VRRP packets.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show problems
  ansible.builtin.debug:
    msg: "{{ found.interfaces | asgi.deploy.interface_problems('eth0', '192.0.2.11') }}"
"""

RETURN = r"""
_value:
  description: The problems, one sentence each, with the remedy.
  type: list
  elements: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.vrrp import interface_problems


class FilterModule:
    def filters(self):
        return {"interface_problems": interface_problems}
