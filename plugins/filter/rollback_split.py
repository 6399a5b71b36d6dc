# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.fleet.rollback_split`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollback_split
short_description: Which hosts of an app would go back to another release or configuration than the others
version_added: 0.2.0
description:
  - For C(rollback.yml), from what each host has answered to M(asgi.deploy.rollback) in check mode.
  - As hosts of different sizes have different configurations, hosts with one release are taken to disagree where one would go to,
    or stay at, the configuration that another one leaves.
positional: _input, hostvars
options:
  _input:
    description: Names of hosts. Those that have not answered count for nothing.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show who would go back to what
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | asgi.deploy.rollback_split(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Who would go back to what; empty if the hosts of each app agree.
  type: str
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import Way, rollback_split


def split(hosts, hostvars):
    answers = {host: hostvars[host].get("__asgi_deploy_rollback_plan") or {} for host in hosts}
    return rollback_split(
        {
            host: Way(
                hostvars[host]["asgi_name"],
                (answer["previous"], answer["previous_config"]),
                (answer["release"], answer["config"]),
            )
            for host, answer in answers.items()
            if "release" in answer
        }
    )


class FilterModule:
    def filters(self):
        return {"rollback_split": split}
