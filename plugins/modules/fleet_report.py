#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: the action plugin of the same name runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Compile a report on all hosts of a play
version_added: 1.0.0
description:
  - Combines the results that tasks of this collection's playbooks registered on the hosts of a play into one report.
  - Runs on the controller only and does not connect to the host. Use it with C(run_once), because it reads the variables of all
    hosts.
options:
  kind:
    description:
      - V(site) shows for each host whether its site answers, the live release and slot, the certificate, and whether the run
        changed anything.
      - V(status) compares the apps of the hosts and marks the hosts that differ from the others.
      - V(releases) lists the release logs of all apps.
      - V(doctor) lists the verdicts of M(asgi.deploy.doctor).
      - V(deploy) shows the outcome of a deploy with failures, from the variables that C(deploy.yml) registers.
      - V(maintenance) shows the outcome of rolling maintenance, from the variables that C(rolling_maintenance.yml) sets.
    type: str
    required: true
    choices: [deploy, doctor, maintenance, releases, site, status]
  registers:
    description:
      - Names of registered variables. With O(kind=status) and O(kind=releases) one result of M(asgi.deploy.app_info), with O(kind=doctor) one of
        M(asgi.deploy.doctor).
      - With O(kind=site) the first one is the result of the module that checked the site, such as M(asgi.deploy.site_check) or
        M(asgi.deploy.activate). The report shows whether any of the results is changed.
    type: list
    elements: str
    default: []
  formats:
    description: Formats to compile. V(table) is text. V(json) requires O(kind=status), O(kind=releases) or O(kind=doctor), V(html) O(kind=status).
    type: list
    elements: str
    default: [table]
  ignore:
    description: Aspects in which the hosts of an app may differ, with O(kind=status).
    type: list
    elements: str
    choices: [release, state, config, workers, certificate, python, fastapi, uvicorn, gunicorn]
    default: []
  unreachable:
    description: Hosts that have left the play because they are unreachable, with O(kind=deploy) and O(kind=maintenance).
    type: list
    elements: str
    default: []
  failed:
    description: Hosts that failed, with O(kind=deploy) and O(kind=maintenance).
    type: list
    elements: str
    default: []
  max_failures:
    description: How many hosts may fail before a deploy stops, with O(kind=deploy).
    type: int
    default: 0
  plan:
    description: The plan of M(asgi.deploy.fleet_plan), with O(kind=maintenance).
    type: dict
  balancers:
    description: The C(backends) of M(asgi.deploy.balancer_info) after the work, by balancer, with O(kind=maintenance).
    type: dict
    default: {}
extends_documentation_fragment:
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Request the site as a client
  asgi.deploy.site_check:
    name: hello
  register: checked

- name: Compile the summary
  asgi.deploy.fleet_report:
    kind: site
    registers: [checked]
  run_once: true
  register: summary

- name: Print the summary
  ansible.builtin.debug:
    msg: "{{ summary.reports.table }}"
  run_once: true
"""

RETURN = r"""
reports:
  description: The lines of the report by format.
  returned: success
  type: dict
  sample:
    table:
      - host  site     url                release         slot   certificate            changed
      - web1  answers  https://a.example/  src-8cc2ad3bb6  green  self-signed, 396 days  yes
verdict:
  description: Whether all hosts agree, in one line.
  returned: with O(kind=status)
  type: str
  sample: 2 hosts, all agree
problem_hosts:
  description: Hosts that differ from the others or have a problem.
  returned: with O(kind=status)
  type: list
  elements: str
"""
