# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.shared_address.keepalived_disagreements`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: keepalived_disagreements
short_description: List the differences between two files of keepalived
version_added: 1.0.0
description:
  - Compares the settings on which all apps of a load balancer must agree. The result does not contain the password.
positional: _input, wanted
options:
  _input:
    description: The current text of C(keepalived.conf), empty if there is none.
    type: str
    required: true
  wanted:
    description: The text that the app would write.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the differences
  ansible.builtin.debug:
    msg: "{{ current | asgi.deploy.keepalived_disagreements(wanted) }}"
"""

RETURN = r"""
_value:
  description: The differences, empty if the apps agree.
  type: list
  elements: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.shared_address import keepalived_disagreements


class FilterModule:
    def filters(self):
        return {"keepalived_disagreements": keepalived_disagreements}
