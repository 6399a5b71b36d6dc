#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: the action plugin of the same name does the work, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check the variables before any host is changed
version_added: 1.0.0
description:
  - Checks the variables of the roles against their argument specifications. Also checks what a specification cannot express, for
    instance that a key belongs to its certificate, that a git reference exists, or that one timeout is longer than another.
  - Runs on the controller only and does not connect to the host.
  - Fails with all problems at once. Each message contains the variable, its value (unless it is secret), the remedy and a stable code.
  - Prints a warning for a possible problem that the inventory alone cannot confirm.
  - Fails for a variable that starts with C(asgi_) but is unknown to this collection, and suggests the closest known name. With
    C(asgi_unknown_variables=warn) it prints a warning instead.
options:
  roles:
    description: Roles whose variables are checked. The checks may also use variables of other roles.
    type: list
    elements: str
    choices: [asgi_app, asgi_server, asgi_proxy, asgi_balancer]
    default: [asgi_app, asgi_server, asgi_proxy]
  entry_point:
    description: Entry point of the roles, V(main) or V(uninstall).
    type: str
    choices: [main, uninstall]
    default: main
  playbook:
    description: Playbook of this collection whose own variables, such as C(asgi_deploy_batches), are checked too.
    type: str
    choices: [deploy, reload, rollback, rolling_maintenance, maintenance_page, status, doctor, tune, run, logs, releases]
extends_documentation_fragment:
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Check the variables of all roles
  asgi.deploy.preflight:

- name: Check the variables for removing an app
  asgi.deploy.preflight:
    entry_point: uninstall

- name: Check the variables of one role
  asgi.deploy.preflight:
    roles: [asgi_server]
"""

RETURN = r"""
claims:
  description: The names, ports and settings that the app needs exclusively on its host, for the module M(asgi.deploy.release).
  returned: for the main entry points of asgi_server, asgi_proxy and asgi_balancer
  type: dict
  contains:
    app:
      description: Name of the app.
      type: str
    names:
      description: The server names by port.
      type: dict
    listeners:
      description: The listening sockets, each with the C(variable) that configures it, the C(address) and the C(port).
      type: list
      elements: dict
    metrics:
      description: The address that serves the metrics, if one is configured.
      type: str
    metrics_group:
      description: The group that may open the unix socket of the metrics, if one is configured.
      type: str
    agreed:
      description: The settings that must be the same for all sites of a port, by port.
      type: dict
    http3:
      description: Whether the HTTPS port is also used over UDP.
      type: bool
    change_port:
      description: Whether these settings may change although other sites use the port.
      type: bool
    vrrp:
      description: C(virtual_ip), C(router_id), C(address) and C(peers) of a balancer with a virtual address.
      type: dict
"""
