# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.site_plan.site_plan`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site_plan
short_description: The locations of a site as nginx is to have them
version_added: 0.2.0
description:
  - Turns C(asgi_proxy_locations) into the locations of a site in the order in which nginx has to try them, each with
    what it takes from the locations around it, and names the zones in which its limits count.
positional: _input, static, health_url
options:
  _input:
    description: The locations, as in C(asgi_proxy_locations).
    type: list
    elements: dict
    required: true
  static:
    description: The directories that nginx serves itself, as in C(asgi_proxy_static).
    type: list
    elements: dict
    default: []
  health_url:
    description: The path that is answered by the app without limits and without a line in the log.
    type: str
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show in which order nginx tries the locations
  ansible.builtin.debug:
    msg: "{{ (asgi_proxy_locations | asgi.deploy.site_plan).locations | map(attribute='match') }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    locations:
      description: The locations that go to the app.
      type: list
      elements: dict
    static:
      description: The directories, each with who may ask for it and how often.
      type: list
      elements: dict
    zones:
      description: The zones for the limits, each with V(name), V(kind) (V(rate) or V(connections)) and V(limit).
      type: list
      elements: dict
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.site_plan import site_plan


class FilterModule:
    def filters(self):
        return {"site_plan": site_plan}
