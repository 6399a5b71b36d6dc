#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: the action plugin of the same name runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_plan
short_description: Plan rolling maintenance, or compare the rollback targets of all hosts
version_added: 1.0.0
description:
  - Plans a change of the hosts of a play for C(rolling_maintenance.yml) and C(rollback.yml), before any host is changed.
  - Runs on the controller only and does not connect to the host. Use it with C(run_once), because it reads the variables of all
    hosts.
options:
  change:
    description:
      - V(maintenance) selects the balancers to query. With O(observed) it plans the order of the hosts and the servers to drain for
        each. Fails if a balancer lacks a server that it must have.
      - V(rollback) compares the targets that M(asgi.deploy.rollback) has reported in check mode for C(rollback.yml). Hosts of
        different sizes may have different configurations of the same target release. They conflict only if one host would activate
        or keep a configuration that another host would leave.
    type: str
    required: true
    choices: [maintenance, rollback]
  balancers:
    description:
      - Inventory names of the balancers, with O(change=maintenance).
      - A balancer must have the apps of its inventory names (C(asgi_name)). A balancer without C(asgi_name), such as an HAProxy that
        this collection does not manage, must have all apps.
    type: list
    elements: str
    default: []
  observed:
    description: The C(backends) of M(asgi.deploy.balancer_info) by balancer, with O(change=maintenance).
    type: dict
extends_documentation_fragment:
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Select the balancers
  asgi.deploy.fleet_plan:
    change: maintenance
    balancers: "{{ groups['asgi_balancers'] }}"
  run_once: true
  register: selected

- name: Plan the order of the hosts
  asgi.deploy.fleet_plan:
    change: maintenance
    balancers: "{{ groups['asgi_balancers'] }}"
    observed: "{{ backends_by_balancer }}"
  run_once: true
  register: planned
"""

RETURN = r"""
balancers:
  description: The balancers to query, with one inventory name for each machine. Balancers of the play's apps come first.
    Balancers of other apps are included, because they may send traffic to the same machines.
  returned: with O(change=maintenance) and without O(observed)
  type: list
  elements: str
plan:
  description: The plan.
  returned: with O(change=maintenance) and O(observed)
  type: dict
  contains:
    backends:
      description: The backend of each host.
      type: dict
    order:
      description: The hosts, without those in RV(plan.along). Hosts that an earlier run left drained come first.
      type: list
      elements: str
    servers:
      description: The servers to drain for each host, each with C(balancer), C(backend) and C(server).
      type: dict
    along:
      description: Maps each host that shares a machine with another host of the play to that other host.
      type: dict
    left:
      description: Hosts that an earlier run left drained.
      type: list
      elements: str
    balancers:
      description: For each host, the balancers that must have a server for it.
      type: dict
conflicts:
  description: The rollback targets by host, for each app whose hosts have different targets.
  returned: with O(change=rollback)
  type: dict
  sample:
    shop: web1 to src-8cc2ad3bb6, web2 to src-9c41e07d52
"""
