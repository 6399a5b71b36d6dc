# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.htpasswd.render`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: htpasswd
short_description: Render nginx's file of users and password hashes
version_added: 1.0.0
description:
  - Renders names and password hashes as the file that nginx reads for C(auth_basic_user_file).
  - Fails for a name or hash that would add a line or a field. The message does not contain the hash.
options:
  _input:
    description: Hashes by name, as in C(asgi_proxy_users).
    type: dict
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the file for one user
  ansible.builtin.debug:
    msg: "{{ {'anna': '$6$qPvz0aXBNnRVoLhE$Z7Yd'} | asgi.deploy.htpasswd }}"  # anna:$6$qPvz0aXBNnRVoLhE$Z7Yd
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.htpasswd import render
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("htpasswd", render)
