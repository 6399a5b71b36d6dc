# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the filters worker_plan and worker_count."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description:
      - Facts of the host, either the C(capacity) that M(asgi.deploy.host_info) returns, or Ansible's facts of the subset
        V(hardware) (C(ansible_facts)).
      - Ansible's facts do not include control groups and other apps.
    type: dict
    required: true
  workers:
    description: V(auto), or an explicit number, which takes precedence over all limits.
    type: raw
    default: auto
  kind:
    description:
      - Kind of the workers.
      - V(async) workers handle many requests at once. The plan is CPUs + 1.
      - V(threads) workers are processes with threads, each of which uses one CPU at a time. The plan is CPUs + 1.
      - V(single) is a server with one process. The plan is 1.
      - V(sync) workers handle one request at a time. The plan is 2 x CPUs + 1, as gunicorn recommends.
    type: str
    choices: [async, sync, threads, single]
    default: async
  minimum:
    description: Minimum number of workers, which takes precedence over the memory limit.
    type: int
    default: 1
  maximum:
    description: Maximum number of workers.
    type: int
  worker_memory:
    description:
      - Memory of one worker in MiB. If set, it limits the number of workers so that both slots, which run at the same time during a
        deploy, fit into the memory.
      - V(measured) is the memory of the largest live worker of O(app) plus a quarter, at least 128 MiB and at least the value of
        the live configuration.
    type: raw
  reserved_memory:
    description: Memory in MiB for the rest of the system.
    type: int
    default: 0
  memory_share:
    description:
      - Percentage of the memory that O(app) can use.
      - By default, all apps of the host get equal shares, regardless of their number of workers. CPUs are not divided, because
        an idle worker uses none.
    type: int
  cpu_quota:
    description: C(CPUQuota) of the unit, such as V(150%).
    type: str
  memory_max:
    description: C(MemoryMax) of the unit, such as V(2G). It applies to each slot separately.
    type: str
  unit_settings:
    description: Further settings of the unit. C(AllowedCPUs), C(CPUAffinity), C(CPUQuota), C(MemoryHigh) and C(MemoryMax)
      affect the plan, and take precedence over O(cpu_quota) and O(memory_max).
    type: dict
  processes:
    description:
      - Background processes of the app, including those of other hosts, as in the variable C(asgi_server_processes), with the defaults
        of all options.
      - The plan reserves memory for them, C(memory_max) for each instance or 128 MiB without it. Processes that are not exclusive count
        twice, because the old and the new ones run at the same time during a deploy.
    type: dict
  app:
    description: Name of the app. It does not count as one of the other apps of the host.
    type: str
"""
