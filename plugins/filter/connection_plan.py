# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for :func:`module_utils._host.connection_limits.connection_plan`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: connection_plan
short_description: Derive the number of clients of a host
version_added: 1.0.0
description:
  - Returns the number of clients that may be connected to a host at once, and the number of files that each process of an app
    may open for them.
  - V(auto) derives the number from the memory of the host, or from the memory limit of all services if that limit is lower. The
    number is the largest power of two from 1024 to 32768 that leaves 170 KiB for each client.
options:
  _input:
    description: The C(capacity) that M(asgi.deploy.host_info) returns.
    type: dict
    required: true
  clients:
    description: A number of clients, or V(auto).
    type: raw
    default: auto
seealso:
  - module: asgi.deploy.host_info
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the number of clients of a host with 4 GiB
  ansible.builtin.debug:
    msg: "{{ ({'memtotal_mb': 3920} | asgi.deploy.connection_plan).clients }}"  # 16384
"""

RETURN = r"""
_value:
  description: The limits.
  type: dict
  contains:
    clients:
      description: Number of clients that may be connected to the host at once.
      type: int
    app_files:
      description: Limit of open files for each process of an app.
      type: int
"""

from ansible_collections.asgi.deploy.plugins.module_utils._host.connection_limits import connection_plan


class FilterModule:
    def filters(self):
        return {"connection_plan": connection_plan}
