# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to the texts of :mod:`plugin_utils.doctor`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: doctor_report
short_description: The verdicts on all hosts, as a table or as JSON
version_added: 0.1.0
description: Joins what M(asgi.deploy.doctor) said of several hosts into one text.
positional: _input, hosts, format
options:
  _input:
    description: Results of M(asgi.deploy.doctor), in the order of O(hosts).
    type: list
    elements: dict
    required: true
  hosts:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  format:
    description: V(table) for people, V(json) for programs.
    type: str
    choices: [table, json]
    default: table
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the verdicts
  ansible.builtin.debug:
    msg: "{{ [found] | asgi.deploy.doctor_report([inventory_hostname]) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.doctor import as_json, as_table, rows

FORMATS = {"table": as_table, "json": as_json}


def doctor_report(found, hosts, format="table"):
    if format not in FORMATS:
        raise AnsibleFilterError(f"doctor_report: format is {format!r}; it must be table or json (asgi_doctor_format)")
    return FORMATS[format](rows(hosts, found))


class FilterModule:
    def filters(self):
        return {"doctor_report": doctor_report}
