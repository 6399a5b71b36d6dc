# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.request_headers.header_patterns`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: header_patterns
short_description: Build regular expressions for the request headers that a balancer removes
version_added: 1.0.0
description:
  - Returns regular expressions for the lower-case names of the headers in which proxies describe the client. A balancer removes
    these headers from the requests of clients.
options:
  _input:
    description: Additional headers to remove, which the application's hosts trust if the balancer sends them.
    type: list
    elements: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the headers that a balancer removes
  ansible.builtin.debug:
    msg: "{{ ['X-Company-User'] | asgi.deploy.header_patterns }}"
"""

RETURN = r"""
_value:
  description: The regular expressions.
  type: list
  elements: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import header_patterns


class FilterModule:
    def filters(self):
        return {"header_patterns": header_patterns}
