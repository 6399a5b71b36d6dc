# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for :func:`plugin_utils._server.workers.worker_plan`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: worker_plan
short_description: Number of workers for a host, and the reason
version_added: 1.0.0
description:
  - Derives the number of workers from the facts of the host, and returns it with its reason.
  - The plan is part of a slot's configuration, so a different plan causes an activation. The filter rounds the memory so that a
    kernel that reserves a few MiB more does not change the plan.
  - Fails if the facts contain no CPU count.
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
- name: Print the reason for the number of workers
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
      description: The number and its derivation as text.
      type: str
    kind:
      description: Kind of the workers.
      type: str
    cpus:
      description: Number of CPUs that the workers can use; 0 if the number was explicit.
      type: int
    by_cpu:
      description: Number of workers according to the CPUs.
      type: int
    by_memory:
      description: Number of workers that fit into the memory; null if the memory was not considered.
      type: int
    worker_memory:
      description: Memory of one worker in MiB; null if the memory was not considered.
      type: int
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import as_dict, worker_plan


def worker_plan_filter(facts, workers="auto", **limits):
    try:
        return as_dict(worker_plan(facts, workers, **limits))
    except (TypeError, ValueError) as exc:
        raise AnsibleFilterError(f"worker_plan: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"worker_plan": worker_plan_filter}
