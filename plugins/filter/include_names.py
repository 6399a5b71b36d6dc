# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.include_names.include_names`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: include_names
short_description: Return the names of the files that nginx's sites include
version_added: 1.0.0
description:
  - Returns names that contain a checksum of the file. Sites of another version of the collection therefore keep their own copy.
options:
  _input:
    description: The texts of the files.
    type: dict
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the name of a file
  ansible.builtin.debug:
    msg: "{{ {'tls': 'ssl_protocols TLSv1.3;'} | asgi.deploy.include_names }}"
"""

RETURN = r"""
_value:
  description: The file name of each text, by the same key.
  type: dict
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.include_names import include_names


class FilterModule:
    def filters(self):
        return {"include_names": include_names}
