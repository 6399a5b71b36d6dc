# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :mod:`plugin_utils.fleet`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: deploy_summary
short_description: What a deploy that did not go well has left on each host
version_added: 0.1.0
description: Tells of each host what became of it and what serves there, from the variables that C(deploy.yml) leaves.
positional: _input, hostvars
options:
  _input:
    description: Names of all hosts of the play.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of each host, as C(hostvars) has them.
    type: dict
    required: true
  lost:
    description: The hosts that have left the play, as they cannot be reached for example.
    type: list
    elements: str
    default: []
  failed:
    description: The hosts that could not be changed.
    type: list
    elements: str
    default: []
  max_failures:
    description: How many hosts may fail.
    type: int
    default: 0
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Say what serves
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | asgi.deploy.deploy_summary(hostvars, failed=['web3']) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import deploy_rows, deploy_summary, host_facts


def summary(hosts, hostvars, lost=(), failed=(), max_failures=0):
    facts = [host_facts(name, hostvars[name], lost, failed) for name in hosts]
    wanted = [each["wanted"] for each in facts if each["wanted"]]
    return deploy_summary(deploy_rows(facts), wanted, len(lost) + len(failed) > max_failures, max_failures)


class FilterModule:
    def filters(self):
        return {"deploy_summary": summary}
