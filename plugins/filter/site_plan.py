# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.site_plan.site_plan`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site_plan
short_description: Plan the locations of a site for nginx
version_added: 1.0.0
description:
  - Returns the locations of C(asgi_proxy_locations) in the order in which nginx must try them, each with the settings that it
    inherits from enclosing locations, and the zones of its limits.
positional: _input, static, health_url, snippet, trusted, variable
options:
  _input:
    description: The locations, as in C(asgi_proxy_locations).
    type: list
    elements: dict
    required: true
  static:
    description: Directories of static files, as in C(asgi_proxy_static).
    type: list
    elements: dict
    default: []
  health_url:
    description: Path of the app's health check, to which access rules and limits do not apply, and which nginx does not log.
    type: str
  snippet:
    description: Directives in the server block, as in C(asgi_proxy_snippet_server).
    type: str
  trusted:
    description: Headers that trusted proxies may set, as in C(asgi_proxy_trusted_headers).
    type: list
    elements: str
    default: []
  variable:
    description: The part of nginx's variable names that identifies the site.
    type: str
    default: ''
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the locations in nginx's order
  ansible.builtin.debug:
    msg: "{{ (asgi_proxy_locations | asgi.deploy.site_plan).locations | map(attribute='match') }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    locations:
      description: Locations that pass requests to the app.
      type: list
      elements: dict
    static:
      description: Directories of static files, each with its access settings and limits.
      type: list
      elements: dict
    zones:
      description: Zones of the limits, each with V(name), V(kind) (V(rate) or V(connections)) and V(limit).
      type: list
      elements: dict
    realms:
      description: Realms of HTTP basic authentication that CORS preflight requests pass, each with nginx's V(variable) and the V(realm).
      type: list
      elements: dict
    request_headers:
      description: Request headers that nginx sends to the app, by name. Headers with an empty value are removed from the request.
      type: dict
    trusted_headers:
      description: For each header that trusted proxies may set, nginx's variables with the header of the request (V(source)) and the
        header that the app receives (V(variable)).
      type: dict
    server:
      description: The site's headers that the snippet replaces in the server block, by directive.
      type: dict
    files:
      description: The headers that the snippet replaces, and the snippet's lines that locations of static files must repeat, by directive.
      type: dict
    checks_links:
      description: Whether the site must set C(disable_symlinks) in the server, because the snippet does not.
      type: bool
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.site_plan import site_plan


class FilterModule:
    def filters(self):
        return {"site_plan": site_plan}
