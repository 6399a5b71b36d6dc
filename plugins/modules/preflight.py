#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: the work is done by the action plugin of the same name, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check the variables of the roles before a host is touched
version_added: 0.1.0
description:
  - Types the variables of the roles by their argument specifications and defaults, and checks what a specification cannot
    say, for instance that a certificate fits its key, that a git reference exists, or that two timeouts are in order.
  - Runs on the controller only and does not connect to the host.
  - Fails with all faults at once; each names the variable, its value (unless it is secret) and what would be right.
  - Warns of what looks like a fault, where the inventory cannot say whether it is one.
options:
  roles:
    description: Roles whose variables are checked. What they are checked against may belong to the other roles.
    type: list
    elements: str
    choices: [asgi_app, asgi_server, asgi_proxy, asgi_balancer]
    default: [asgi_app, asgi_server, asgi_proxy]
  entry_point:
    description:
      - Which of the roles' argument specifications, V(main) or V(uninstall).
    type: str
    choices: [main, uninstall]
    default: main
  playbook:
    description: Playbook of this collection whose own variables, such as C(asgi_deploy_batches), are checked, too.
    type: str
    choices: [deploy, reload, rollback, maintain, status, doctor, tune]
attributes:
  check_mode:
    description: Checks in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Check the variables of all roles
  asgi.deploy.preflight:

- name: Check what removing the app takes
  asgi.deploy.preflight:
    entry_point: uninstall

- name: Check the variables of one role
  asgi.deploy.preflight:
    roles: [asgi_server]
"""

RETURN = r""" # """
