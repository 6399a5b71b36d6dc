# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`module_utils.layout.layout`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: layout
short_description: Every path, unit name and account of an app
version_added: 0.1.0
description:
  - Turns the name of an app into a dictionary of everything that is named after it on a host.
  - The roles of this collection agree through this filter instead of passing facts around.
positional: _input
options:
  _input:
    description: Name of the app (C(asgi_name)), 1 to 32 characters, V([a-z][a-z0-9]*([_-][a-z0-9]+\)*).
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show where the live socket of an app is
  ansible.builtin.debug:
    msg: "{{ ('hello' | asgi.deploy.layout).live_socket }}"  # /run/hello/live.sock
"""

RETURN = r"""
_value:
  description:
    - The keys V(name), V(user), V(group), V(home), V(releases), V(configs), V(slots_directory), V(shared), V(staged),
      V(current), V(log), V(lock), V(build_lock), V(kept), V(run), V(live_socket), V(tmpfiles), V(service_template),
      V(socket_template), V(trial_proxy_unit), V(tls), V(nginx_site).
    - Under V(balancer), what HAProxy calls the app and its files there, the keys V(backend), V(fresh), V(site), V(ca_bundle).
    - Under V(slots), for V(blue) and V(green), and under V(trial) the keys V(name), V(directory), V(release), V(config), V(socket),
      V(service_unit), V(socket_unit), V(drop_in).
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout


def layout_filter(name):
    try:
        return layout(name)
    except ValueError as exc:
        raise AnsibleFilterError(f"layout: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"layout": layout_filter}
