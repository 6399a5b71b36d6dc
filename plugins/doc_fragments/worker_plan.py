# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the filters worker_plan and worker_count share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description:
      - Facts of the host, those that M(asgi.deploy.host_info) returns as C(capacity) or Ansible's own of the subset
        V(hardware) (C(ansible_facts)).
      - Ansible's know nothing of control groups and of other apps.
    type: dict
    required: true
  workers:
    description: V(auto), or an explicit number, which wins over everything else.
    type: raw
    default: auto
  kind:
    description:
      - Kind of the workers.
      - V(async) workers serve many requests at once, CPUs + 1 of them are run.
      - V(threads) are processes with threads, of which each uses one CPU at a time; CPUs + 1 of them are run.
      - V(single) is the only process of a server that has no workers; 1 whatever the host has.
      - V(sync) workers serve one request at a time, 2 x CPUs + 1 of them are run (gunicorn's recommendation).
    type: str
    choices: [async, sync, threads, single]
    default: async
  minimum:
    description: Never fewer workers than this; wins over the memory.
    type: int
    default: 1
  maximum:
    description: Never more workers than this.
    type: int
  worker_memory:
    description:
      - Memory of one worker in MiB. When set, both slots together, as they run during a deploy, take no more than there is.
      - V(measured) counts what the largest live worker of O(app) takes and a quarter more, at least 128 MiB and never less
        than the live configuration counts.
    type: raw
  reserved_memory:
    description: Memory in MiB that is left to the rest of the system.
    type: int
    default: 0
  memory_share:
    description:
      - Percentage of the memory that O(app) may take.
      - By default all apps of the host get the same share, however many workers they have. CPUs are not shared out, as
        an idle worker takes none.
    type: int
  cpu_quota:
    description: C(CPUQuota) of the unit, such as V(150%).
    type: str
  memory_max:
    description: C(MemoryMax) of the unit, such as V(2G). Each slot has it for itself.
    type: str
  unit_settings:
    description: Further settings of the unit, of which C(AllowedCPUs), C(CPUAffinity), C(CPUQuota), C(MemoryHigh) and
      C(MemoryMax) count; they win over O(cpu_quota) and O(memory_max).
    type: dict
  app:
    description: Name of the app, which is not counted among the others of the host.
    type: str
"""
