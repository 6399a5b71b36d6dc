# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.tuning.candidates`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tune_candidates
short_description: The numbers of workers that are worth measuring on a host
version_added: 0.1.0
description:
  - Without O(wanted) ones, they are 1, half the CPUs, as many, one more, twice as many, one more than that, and O(present), as
    far as memory allows.
  - Fails for wanted ones that memory does not allow, and when all are below O(minimum).
positional: _input, present
options:
  _input:
    description: What P(asgi.deploy.worker_plan#filter) returns for V(auto).
    type: dict
    required: true
  present:
    description: Number of workers that is configured now.
    type: int
    required: true
  wanted:
    description: Numbers that the user wants to be measured, as a list or as a text such as V(1,2,4).
    type: raw
  minimum:
    description: Fewest workers that may be recommended.
    type: int
    default: 1
  maximum:
    description: Most workers that may be recommended.
    type: int
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Say what would be measured on a host with two CPUs
  ansible.builtin.debug:
    msg: "{{ ansible_facts | asgi.deploy.worker_plan | asgi.deploy.tune_candidates(3) }}"  # [1, 2, 3, 4, 5]
"""

RETURN = r"""
_value:
  description: The numbers, the smallest first.
  type: list
  elements: int
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.tuning import candidates, worker_counts


def tune_candidates(auto, present, wanted=None, minimum=1, maximum=None):
    try:
        return candidates(auto, present, None if wanted is None else worker_counts(wanted), minimum, maximum)
    except ValueError as exc:
        raise AnsibleFilterError(f"tune_candidates: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"tune_candidates": tune_candidates}
