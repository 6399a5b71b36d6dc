# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._values.paths.controller_path`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: controller_path
short_description: Absolute path of a file on the controller
version_added: 1.0.0
description:
  - Returns the absolute path. A relative path starts at the directory in which C(ansible-playbook) was started, and C(~) is expanded.
  - Ansible itself would search for a relative path next to the playbook. A playbook such as C(asgi.deploy.site) is inside this
    collection.
options:
  _input:
    description: The path. It need not exist.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Copy a certificate from a directory next to the inventory
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
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.paths import controller_path


def controller_path_filter(path):
    if not isinstance(path, str):
        raise AnsibleFilterError(f"controller_path: {path!r} is not a path")
    return str(controller_path(path))


class FilterModule:
    def filters(self):
        return {"controller_path": controller_path_filter}
