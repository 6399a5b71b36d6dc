# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :mod:`plugin_utils.fleet`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: batches
short_description: Hosts in batches, as asgi_deploy_batches says
version_added: 0.1.0
description: Divides a list of hosts as Ansible's C(serial) does, for a play that goes on when a batch has failed.
positional: _input, sizes
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  sizes:
    description:
      - Sizes of the batches, each a number of hosts or a share of all of them, such as V(25%).
      - The last one counts for all hosts that are left.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show who is in which batch
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
from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import batches


def batches_filter(hosts, sizes):
    try:
        return batches(hosts, sizes)
    except ValueError as exc:
        raise AnsibleFilterError(f"batches: {exc} (asgi_deploy_batches)") from exc


class FilterModule:
    def filters(self):
        return {"batches": batches_filter}
