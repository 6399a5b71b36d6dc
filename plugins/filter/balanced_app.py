# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._fleet.balancer.balanced_app`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: balanced_app
short_description: Configuration that a load balancer of an app needs
version_added: 1.0.0
description:
  - Selects the hosts of an app from a list of inventory hosts, and returns the configuration of a load balancer for them.
    Variables that a host does not set have the defaults of the roles P(asgi.deploy.asgi_proxy#role) and
    P(asgi.deploy.asgi_server#role).
positional: _input, hostvars, name
extends_documentation_fragment: asgi.deploy.app_hosts
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the servers of an app
  ansible.builtin.debug:
    msg: "{{ (groups['asgi'] | asgi.deploy.balanced_app(hostvars, 'shop')).servers }}"
"""

RETURN = r"""
_value:
  description:
    - Under V(servers), for each host of the app, the keys V(name), V(address) and V(port).
    - The keys V(server_names), V(health_url), V(health_statuses), V(verify), V(server_timeout) and V(websocket_timeout) (both in
      seconds).
    - Under V(trusted), the value of C(asgi_proxy_trusted) of each host of the app.
    - Under V(proxy_protocol), the hosts that expect the PROXY protocol, which the role asgi_balancer does not support.
  type: dict
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import balanced_app
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("balanced_app", balanced_app)
