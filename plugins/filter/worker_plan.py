# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.workers.worker_plan`, with the reasons."""

from __future__ import annotations

DOCUMENTATION = r"""
name: worker_plan
short_description: How many workers to run on a host, and why
version_added: 0.1.0
description:
  - Computes the number of gunicorn workers from the facts gathered on the host, never from the controller, and says how
    it came about.
  - The same facts give the same plan, and so do facts that differ by what another kernel takes for itself, because a
    plan is part of the configuration, and another configuration is activated.
  - Fails when the facts hold no CPU count.
positional: _input, workers
extends_documentation_fragment:
  - asgi.deploy.worker_plan
seealso:
  - plugin: asgi.deploy.worker_count
    plugin_type: filter
  - module: asgi.deploy.host_info
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Say why there are so many workers
  ansible.builtin.debug:
    msg: "{{ (ansible_facts | asgi.deploy.worker_plan(worker_memory=128)).reason }}"  # 5 = 4 CPUs + 1; memory would allow 30
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    workers:
      description: The number of workers.
      type: int
    reason:
      description: The number and how it came about, in words.
      type: str
    kind:
      description: Kind of the workers.
      type: str
    cpus:
      description: CPUs that the workers can use at once; 0 if the number was explicit.
      type: int
    by_cpu:
      description: What the CPUs alone would give.
      type: int
    by_memory:
      description: What the memory alone would allow; null if it was not considered.
      type: int
    worker_memory:
      description: Memory in MiB that was counted for a worker; null if it was not considered.
      type: int
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.workers import as_dict, worker_plan


def worker_plan_filter(facts, workers="auto", **limits):
    try:
        return as_dict(worker_plan(facts, workers, **limits))
    except (TypeError, ValueError) as exc:
        raise AnsibleFilterError(f"worker_plan: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"worker_plan": worker_plan_filter}
