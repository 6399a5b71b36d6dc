# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.nginx.word`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nginx_word
short_description: Validate a value for nginx's configuration
version_added: 1.0.0
description:
  - Returns the value unchanged if nginx reads it as one word without quotes, such as an address, a size or a header name.
  - Fails for other values, for instance with spaces, V(;), V($), quotes or line breaks.
options:
  _input:
    description: The value.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a directive
  ansible.builtin.debug:
    msg: "allow {{ '192.0.2.0/24' | asgi.deploy.nginx_word }};"  # allow 192.0.2.0/24;
"""

RETURN = r"""
_value:
  description: The unchanged value.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.nginx import word
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("nginx_word", word)
