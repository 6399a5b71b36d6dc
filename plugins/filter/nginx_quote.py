# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.nginx.quote`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nginx_quote
short_description: A text as a literal of nginx's configuration
version_added: 0.1.0
description:
  - Quotes a text so that nginx takes it as one word, and every character for itself.
  - Fails for a text with V($), because nginx would put a variable there and has no way to write the character itself,
    and for one with control characters such as line ends.
positional: _input
options:
  _input:
    description: The text.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show a header as nginx reads it
  ansible.builtin.debug:
    msg: "add_header X-Note {{ 'a; b' | asgi.deploy.nginx_quote }};"  # add_header X-Note "a; b";
"""

RETURN = r"""
_value:
  description: The text in double quotes.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.nginx import quote


def nginx_quote(text):
    try:
        return quote(text)
    except ValueError as exc:
        raise AnsibleFilterError(f"nginx_quote: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"nginx_quote": nginx_quote}
