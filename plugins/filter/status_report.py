# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :mod:`plugin_utils.status`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status_report
short_description: What runs on all hosts and where they differ, as a table, as JSON or as a page
version_added: 0.1.0
description:
  - Joins what M(asgi.deploy.app_info) returned for several hosts into one text, in which the hosts that differ from the others
    are marked.
positional: _input, hosts, format
options:
  _input:
    description: Results of M(asgi.deploy.app_info), in the order of O(hosts); anything else for a host that did not answer.
    type: list
    elements: dict
    required: true
  hosts:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  format:
    description:
      - V(table) for people, V(json) for programs, V(html) for a page that needs no other file.
      - V(verdict) is one line, and V(agree) whether the hosts are all as they should be.
    type: str
    choices: [table, json, html, verdict, agree]
    default: table
  ignore:
    description: In what the hosts of an app may differ.
    type: list
    elements: str
    choices: [release, state, config, workers, certificate, python, fastapi, uvicorn, gunicorn]
    default: []
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show what runs
  ansible.builtin.debug:
    msg: "{{ [found] | asgi.deploy.status_report([inventory_hostname]) }}"
"""

RETURN = r"""
_value:
  description: The text; a truth value for O(format=agree).
  type: raw
"""

from datetime import UTC, datetime

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.status import as_json, as_table, report, rows, verdict
from ansible_collections.asgi.deploy.plugins.plugin_utils.status_page import as_page


def _page(found):
    return as_page(found, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))


FORMATS = {
    "table": as_table,
    "json": as_json,
    "html": _page,
    "verdict": verdict,
    "agree": lambda found: found["agree"],
}


def status_report(found, hosts, format="table", ignore=()):
    if format not in FORMATS:
        raise AnsibleFilterError(f"status_report: format is {format!r}; it must be one of {', '.join(FORMATS)}")
    return FORMATS[format](report(rows(hosts, found), ignore))


class FilterModule:
    def filters(self):
        return {"status_report": status_report}
