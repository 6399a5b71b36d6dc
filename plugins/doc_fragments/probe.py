# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the health check (PROBE_OPTIONS of module_utils._app.probe), for modules that boot an app."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  probe:
    description: Health check of the release.
    type: dict
    required: true
    suboptions:
      path:
        description: Path to request.
        type: str
        required: true
      host:
        description: Value of the Host header.
        type: str
        required: true
      statuses:
        description: HTTP statuses of a healthy app.
        type: list
        elements: int
        required: true
      successes:
        description: Number of consecutive successful checks.
        type: int
        required: true
      timeout:
        description: Timeout of one check in seconds.
        type: float
        required: true
      deadline:
        description: Seconds after which the activation fails.
        type: float
        required: true
"""
