#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: the action plugin of the same name runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_check
short_description: Fail if the hosts of a play clash or their balancers have problems
version_added: 1.0.0
description:
  - Compares the results that a module returned for the hosts of a play, because a single host cannot detect these problems.
    Fails with a list of all problems and their remedies.
  - Runs on the controller only and does not connect to the host. Use it with C(run_once), because it reads the variables of all
    hosts.
options:
  check:
    description:
      - V(claims) compares the results of M(asgi.deploy.preflight). Two inventory names of one machine cannot have the same app,
        server name or port, and balancers can share a virtual address only with the same settings.
      - V(balancers) compares the results of M(asgi.deploy.balancer_health). Clients must reach the app through each balancer, and
        exactly one balancer must hold each virtual address.
    type: str
    required: true
    choices: [claims, balancers]
  register:
    description: Name of the registered variable with the results.
    type: str
    required: true
extends_documentation_fragment:
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Check the variables
  asgi.deploy.preflight:
  register: checked

- name: Fail if two inventory names of one machine clash
  asgi.deploy.fleet_check:
    check: claims
    register: checked
  run_once: true
"""

RETURN = r"""
hosts:
  description: The hosts of the play that take part in the check.
  returned: success
  type: list
  elements: str
msg:
  description: The problems, one sentence each, with the remedy.
  returned: failure
  type: list
  elements: str
"""
