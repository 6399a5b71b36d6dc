# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an app is asked for its health: PROBE_OPTIONS of module_utils.probe, for the modules that boot one."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  probe:
    description: The question that decides whether the release is healthy.
    type: dict
    required: true
    suboptions:
      path:
        description: Path to ask for.
        type: str
        required: true
      host:
        description: Value of the Host header.
        type: str
        required: true
      statuses:
        description: HTTP statuses that mean healthy.
        type: list
        elements: int
        required: true
      successes:
        description: How many healthy answers in a row are wanted.
        type: int
        required: true
      timeout:
        description: Seconds that one question may take.
        type: float
        required: true
      deadline:
        description: Seconds after which the release is given up.
        type: float
        required: true
"""
