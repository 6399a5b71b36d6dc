# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value as the right-hand side of a setting in a systemd unit file."""

from __future__ import annotations

DOCUMENTATION = r"""
name: systemd_value
short_description: A value for a systemd unit file
version_added: 0.1.0
description:
  - Renders a value as the right-hand side of a setting in a unit file. Booleans become V(yes) and V(no), lists are joined
    by spaces, and V(%) is doubled so that systemd does not take it for a specifier.
  - Fails for a value that spans lines, which would smuggle further settings in.
options:
  _input:
    description: A string, number, boolean, or a list of these.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show a setting
  ansible.builtin.debug:
    msg: "PrivateDevices={{ true | asgi.deploy.systemd_value }}"  # PrivateDevices=yes
"""

RETURN = r"""
_value:
  description: The value as systemd reads it.
  type: str
"""

import re

from ansible.errors import AnsibleFilterError

SHARE = re.compile(r"\d+(\.\d+)?%")


def systemd_value(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(systemd_value(item) for item in value)
    if not isinstance(value, (str, int, float)):
        raise AnsibleFilterError(f"systemd_value: a {type(value).__name__} is not a setting's value")
    text = str(value)
    if not text.isprintable():
        raise AnsibleFilterError(f"systemd_value: {text!r} has line breaks or control characters")
    # a share, as MemoryMax takes it, is none with a second sign; a sign at the very end is no specifier where these count
    return text if SHARE.fullmatch(text) else text.replace("%", "%%")


class FilterModule:
    def filters(self):
        return {"systemd_value": systemd_value}
