# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.nginx.quote`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nginx_quote
short_description: Quote a string for nginx's configuration
version_added: 1.0.0
description:
  - Quotes a string so that nginx reads it literally as one word.
  - Fails for a string with V($), which nginx cannot escape and would expand as a variable, and for one with control characters such
    as line breaks.
options:
  _input:
    description: The string.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a directive
  ansible.builtin.debug:
    msg: "add_header X-Note {{ 'a; b' | asgi.deploy.nginx_quote }};"  # add_header X-Note "a; b";
"""

RETURN = r"""
_value:
  description: The string in double quotes.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.nginx import quote
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("nginx_quote", quote)
