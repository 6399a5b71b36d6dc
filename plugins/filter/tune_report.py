# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :mod:`plugin_utils._tune.tuning` and :mod:`plugin_utils._tune.tuning_page`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tune_report
short_description: Recommend variables after a measurement, as a table, a variables file or an HTML page
version_added: 1.0.0
description:
  - Recommends the smallest number of workers, at least O(minimum), with which no requests failed, the throughput is within 3 % of the
    best, and the 99th percentile of the response time is at most 1.5 times that of the best.
  - Recommends a C(MemoryMax) of twice the memory that these workers would use if all of them were as large as the largest one, and at
    least as many idle connections from nginx to the app as there were clients.
  - Marks the recommendation as uncertain if the rounds of a candidate number of workers differ by more than 20 % of their median.
  - Fails if requests failed with every number of workers.
positional: _input, host, app, plan, format
options:
  _input:
    description: Result of M(asgi.deploy.tune).
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
    description: Result of P(asgi.deploy.worker_plan#filter) for the current configuration.
    type: dict
    required: true
  format:
    description:
      - V(table) for the terminal, V(vars) for a variables file, V(html) for a self-contained page.
      - V(json) for programs, with C(recommendation) and C(points).
    type: str
    choices: [table, vars, html, json]
    default: table
  minimum:
    description: Smallest number that may be recommended.
    type: int
    default: 1
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the recommendation
  ansible.builtin.debug:
    msg: "{{ measured | asgi.deploy.tune_report(inventory_hostname, asgi_name, plan) }}"
"""

RETURN = r"""
_value:
  description: The lines of the text.
  type: list
  elements: str
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import points, recommend, snippet, table
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning_page import as_page

FORMATS = ("table", "vars", "html", "json")


def tune_report(result, host, app, plan, format="table", minimum=1):
    if format not in FORMATS:
        raise AnsibleFilterError(f"tune_report: format is {format!r}; it must be one of {', '.join(FORMATS)}")
    result = printable(result)
    measured = points(result["measurements"])
    try:
        found = recommend(measured, result, plan, minimum)
    except ValueError as exc:
        raise AnsibleFilterError(f"tune_report: {exc}") from exc
    return _text(format, measured, found, result, plan, host, app).split("\n")


def _text(format, measured, found, result, plan, host, app):
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
