# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`module_utils.layout.release_paths`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: release_paths
short_description: The paths inside one release of an app
version_added: 0.1.0
description: Turns the name of an app and the id of a release into the paths of that release on a host.
positional: _input, release
options:
  _input:
    description: Name of the app (C(asgi_name)).
    type: str
    required: true
  release:
    description: Id of the release.
    type: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show a release's interpreter
  ansible.builtin.debug:
    msg: "{{ ('hello' | asgi.deploy.release_paths('src-1')).python }}"  # /srv/hello/releases/src-1/.venv/bin/python
"""

RETURN = r"""
_value:
  description: The keys V(id), V(directory), V(code), V(venv), V(python), V(manifest).
  type: dict
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.module_utils.layout import release_paths


def release_paths_filter(name, release):
    try:
        return release_paths(name, release)
    except ValueError as exc:
        raise AnsibleFilterError(f"release_paths: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"release_paths": release_paths_filter}
