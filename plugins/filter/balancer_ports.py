# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._fleet.balancer.ports`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balancer_ports
short_description: List the ports of an app's balancers
version_added: 1.0.0
description:
  - Selects the balancers of an app from a list of inventory hosts, and returns the ports in the URLs that they serve.
positional: _input, hostvars, name
extends_documentation_fragment: asgi.deploy.app_hosts
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the ports of the balancers of an app
  ansible.builtin.debug:
    msg: "{{ groups['asgi_balancers'] | asgi.deploy.balancer_ports(hostvars, 'shop') }}"
"""

RETURN = r"""
_value:
  description: C(asgi_balancer_https_port) and C(asgi_balancer_public_ports) of all balancers, without duplicates.
  type: list
  elements: int
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import ports


class FilterModule:
    def filters(self):
        return {"balancer_ports": ports}
