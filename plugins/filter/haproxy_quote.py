# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.haproxy_words.quote`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: haproxy_quote
short_description: Quote a value for HAProxy's configuration
version_added: 1.0.0
description:
  - Quotes a value so that HAProxy reads it literally as one word. Quotes are added only if necessary.
  - Fails for a value with line breaks or other unprintable characters.
options:
  _input:
    description: The value.
    type: raw
    required: true
  log_format:
    description: Whether the value becomes part of a log-format string, in which V(%) must be doubled.
    type: bool
    default: false
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a health check
  ansible.builtin.debug:
    msg: "http-check send uri {{ '/health?a b' | asgi.deploy.haproxy_quote }}"  # http-check send uri '/health?a b'
"""

RETURN = r"""
_value:
  description: The word.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.haproxy_words import quote
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("haproxy_quote", quote)
