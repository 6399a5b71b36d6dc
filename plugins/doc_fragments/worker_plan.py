# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the filters worker_plan and worker_count share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description: Facts of the host (C(ansible_facts)); the subset V(hardware) has what is needed.
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
      - V(sync) workers serve one request at a time, 2 x CPUs + 1 of them are run (gunicorn's recommendation).
    type: str
    choices: [async, sync]
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
      - Memory of one worker in MiB.
      - When set, both slots together, as they run during a deploy, take no more than what the host has.
    type: int
  reserved_memory:
    description: Memory in MiB that is left to the rest of the system.
    type: int
    default: 0
"""
