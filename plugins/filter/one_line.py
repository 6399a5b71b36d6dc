# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._values.characters.one_line`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: one_line
short_description: Validate a value for a comment
version_added: 1.0.0
description:
  - Returns the value unchanged if it is one line of printable text, so that it cannot end a comment in a configuration file.
  - Fails for a value with line breaks or other unprintable characters.
options:
  _input:
    description: The value.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a comment
  ansible.builtin.debug:
    msg: "# {{ '4 = 3 CPUs + 1' | asgi.deploy.one_line }}"  # "# 4 = 3 CPUs + 1"
"""

RETURN = r"""
_value:
  description: The unchanged value.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.characters import one_line
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("one_line", one_line)
