# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the sandbox of an app for a unit file."""

from __future__ import annotations

DOCUMENTATION = r"""
name: sandbox_settings
short_description: Render the sandbox of an app for a unit file
version_added: 1.0.0
description:
  - Returns the systemd settings of an app's sandbox and resource limits.
  - M(asgi.deploy.release) and M(asgi.deploy.release_command) run the app's code under the same settings.
options:
  _input:
    description: Name of the app (C(asgi_name)).
    type: str
    required: true
  settings:
    description: Variables of the role C(asgi_server) without their prefix, for instance V(write_paths).
    type: dict
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the sandbox of an app
  ansible.builtin.debug:
    msg: "{{ 'hello' | asgi.deploy.sandbox_settings({'write_paths': ['/var/lib/hello']}) }}"
"""

RETURN = r"""
_value:
  description: The lines of the unit file, in order.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.filter.systemd_value import systemd_value
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import properties


def sandbox_settings(name, settings):
    try:
        found = properties(name, settings)
    except ValueError as exc:
        raise AnsibleFilterError(f"sandbox_settings: {exc}") from exc
    return [f"{setting}={_rendered(setting, value)}" for setting, value in found]


def _rendered(setting, value):
    text = systemd_value(value)
    # systemd does not expand specifiers in mount options, so undo the doubling of "%".
    return text.replace("%%", "%") if setting == "TemporaryFileSystem" else text


class FilterModule:
    def filters(self):
        return {"sandbox_settings": sandbox_settings}
