# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.keepalived.word`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: keepalived_word
short_description: Validate a value for keepalived's configuration
version_added: 1.0.0
description:
  - Returns the value unchanged if keepalived reads it as one word, such as an address or the name of an interface.
  - Fails for a value with characters other than letters, digits, V(.), V(_), V(:), V(/) and V(-). The message does not contain
    the value, which may be a password.
options:
  _input:
    description: The value.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a peer
  ansible.builtin.debug:
    msg: "{{ '192.0.2.7' | asgi.deploy.keepalived_word }}"  # 192.0.2.7
"""

RETURN = r"""
_value:
  description: The unchanged value.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.keepalived import word
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("keepalived_word", word)
