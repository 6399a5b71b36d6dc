# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.paths.controller_path`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: controller_path
short_description: A user's path on the controller as an absolute one
version_added: 0.1.0
description:
  - A relative path starts at the directory that C(ansible-playbook) was started in, and C(~) is expanded.
  - Ansible itself starts at the playbook, which is inside this collection for C(asgi.deploy.site).
positional: _input
options:
  _input:
    description: The path as the user wrote it. It need not exist.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Copy a certificate that is beside the inventory
  ansible.builtin.copy:
    src: "{{ 'certificates/hello.pem' | asgi.deploy.controller_path }}"
    dest: /etc/ssl/hello.pem
    mode: "0600"
"""

RETURN = r"""
_value:
  description: The absolute path.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.paths import controller_path


def controller_path_filter(path):
    if not isinstance(path, str):
        raise AnsibleFilterError(f"controller_path: {path!r} is no path")
    return str(controller_path(path))


class FilterModule:
    def filters(self):
        return {"controller_path": controller_path_filter}
