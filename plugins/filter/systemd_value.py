# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for :func:`plugin_utils._render.systemd_unit.value`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: systemd_value
short_description: Render a value for a systemd unit file
version_added: 1.0.0
description:
  - Renders a value as the right-hand side of a setting in a unit file. Booleans become V(yes) and V(no), lists are joined
    by spaces, and V(%) is doubled so that systemd does not interpret it as a specifier.
  - Fails for a value with line breaks, or with a trailing backslash, which would continue the setting on the next line.
options:
  _input:
    description: A string, number, boolean, or a list of these.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a setting
  ansible.builtin.debug:
    msg: "PrivateDevices={{ true | asgi.deploy.systemd_value }}"  # PrivateDevices=yes
"""

RETURN = r"""
_value:
  description: The value in the syntax of systemd.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.systemd_unit import value as render


def systemd_value(value):
    try:
        return render(value)
    except ValueError as exc:
        raise AnsibleFilterError(f"systemd_value: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"systemd_value": systemd_value}
