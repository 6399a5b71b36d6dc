# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :mod:`plugin_utils.tuning` and :mod:`plugin_utils.tuning_page`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tune_report
short_description: What to set after a measurement, as a table, as variables or as a page
version_added: 0.1.0
description:
  - Recommends the fewest workers whose throughput is within 3 % of the best, of those whose 99th percentile is at most one and a
    half times that of the best, whose requests were all answered, and that are no fewer than O(minimum).
  - Recommends as C(MemoryMax) twice what so many workers of the size of the largest one took, and as idle connections of nginx no
    fewer than there were clients.
  - Fails when requests failed with each number of workers.
positional: _input, host, app, plan, format
options:
  _input:
    description: What M(asgi.deploy.tune) returned.
    type: dict
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
  app:
    description: Name of the app.
    type: str
    required: true
  plan:
    description: What P(asgi.deploy.worker_plan#filter) returned for the configuration without a recommendation.
    type: dict
    required: true
  format:
    description:
      - V(table) for people, V(vars) for a file of variables, V(html) for a page that needs no other file.
      - V(json) for programs, with C(recommendation) and C(points).
    type: str
    choices: [table, vars, html, json]
    default: table
  minimum:
    description: Fewest workers that may be recommended.
    type: int
    default: 1
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show what to set
  ansible.builtin.debug:
    msg: "{{ measured | asgi.deploy.tune_report(inventory_hostname, asgi_name, plan) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.tuning import points, recommend, snippet, table
from ansible_collections.asgi.deploy.plugins.plugin_utils.tuning_page import as_page

FORMATS = ("table", "vars", "html", "json")


def tune_report(result, host, app, plan, format="table", minimum=1):
    if format not in FORMATS:
        raise AnsibleFilterError(f"tune_report: format is {format!r}; it must be one of {', '.join(FORMATS)}")
    measured = points(result["measurements"])
    try:
        found = recommend(measured, result, plan, minimum)
    except ValueError as exc:
        raise AnsibleFilterError(f"tune_report: {exc}") from exc
    if format == "table":
        return f"{host} {app}: {result['plan']}\n\n{table(measured, found)}"
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if format == "vars":
        return snippet(found, [f"Measured by asgi.deploy.tune for {app} on {host}, {at}:", result["plan"]])
    if format == "json":
        return json.dumps({"recommendation": asdict(found), "points": [asdict(point) for point in measured]}, indent=1)
    return as_page(measured, found, result, plan, host=host, app=app, at=at)


class FilterModule:
    def filters(self):
        return {"tune_report": tune_report}
