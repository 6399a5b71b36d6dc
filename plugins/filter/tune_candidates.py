# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._tune.tuning.candidates`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tune_candidates
short_description: Choose the numbers of workers to measure on a host
version_added: 1.0.0
description:
  - Without O(wanted), the numbers are 1, O(present), half the number of CPUs, the number of CPUs, twice the number of CPUs, and the last
    two plus one. Numbers whose workers do not fit into the memory are left out.
  - Fails if the workers of a number in O(wanted) do not fit into the memory, and if all numbers are below O(minimum).
positional: _input, present
options:
  _input:
    description: Result of P(asgi.deploy.worker_plan#filter) for V(auto).
    type: dict
    required: true
  present:
    description: Configured number of workers.
    type: int
    required: true
  wanted:
    description: Numbers to measure instead, as a list or as a string such as V(1,2,4).
    type: raw
  minimum:
    description: Smallest number that may be recommended.
    type: int
    default: 1
  maximum:
    description: Largest number that may be recommended.
    type: int
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the candidates for a host with two CPUs
  ansible.builtin.debug:
    msg: "{{ ansible_facts | asgi.deploy.worker_plan | asgi.deploy.tune_candidates(3) }}"  # [1, 2, 3, 4, 5]
"""

RETURN = r"""
_value:
  description: The numbers in ascending order.
  type: list
  elements: int
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import candidates, worker_counts
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


def tune_candidates(auto, present, wanted=None, minimum=1, maximum=None):
    return candidates(auto, present, None if wanted is None else worker_counts(wanted), minimum, maximum)


class FilterModule:
    def filters(self):
        return as_filter("tune_candidates", tune_candidates)
