# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`module_utils._host.printable.printable`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: printable
short_description: Escape control characters in text from a host
version_added: 1.0.0
description:
  - Ansible prints messages to the terminal unchanged. Escape sequences in the output of an application can clear the screen, forge
    lines or write to the clipboard.
  - Escapes control characters (except newline and tab), zero-width characters and characters that change the text direction, as in
    V(\\x1b) or V(\\u202e). Escaping is idempotent.
  - The modules of this collection already return escaped text.
options:
  _input:
    description: A string, or a list or dictionary of strings.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the output of a program
  ansible.builtin.debug:
    msg: "{{ result.stdout | asgi.deploy.printable }}"
"""

RETURN = r"""
_value:
  description: The input with all strings escaped.
  type: raw
"""

from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable


class FilterModule:
    def filters(self):
        return {"printable": printable}
