# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :mod:`plugin_utils._fleet.batches`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: batches
short_description: Divide hosts into batches
version_added: 1.0.0
description: Divides a list of hosts like Ansible's C(serial), for a play that continues after a failed batch.
positional: _input, sizes
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  sizes:
    description:
      - Sizes of the batches, each a number of hosts or a percentage of all hosts, such as V(25%).
      - The last size is repeated until no host is left.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the batches
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | asgi.deploy.batches([1, '25%', '100%']) }}"
"""

RETURN = r"""
_value:
  description: The batches.
  type: list
  elements: list
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.batches import batches


def batches_filter(hosts, sizes):
    try:
        return batches(hosts, sizes)
    except ValueError as exc:
        raise AnsibleFilterError(f"batches: {exc} (asgi_deploy_batches)") from exc


class FilterModule:
    def filters(self):
        return {"batches": batches_filter}
