#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation only: the action plugin of the same name runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_notify
short_description: Send a notification about the change of each app of a play to its webhook
version_added: 1.0.0
description:
  - Sends the change of each app to the URL in the variable C(asgi_deploy_notify_url), as JSON, with the headers in
    C(asgi_deploy_notify_headers). Apps without the variable, and apps that have neither changed nor failed, send nothing.
  - Never fails. If the webhook does not accept the notification in three attempts, the module prints a warning, which contains
    neither the URL nor the headers.
  - Runs on the controller only and does not connect to the host. Use it with C(run_once), because it reads the variables of all
    hosts, which the playbooks of this collection register.
options:
  change:
    description: The change that the playbook makes.
    type: str
    required: true
    choices: [deploy, reload, rollback]
  site:
    description: Name of the registered variable with the result of the site check, in the key C(site).
    type: str
  unreachable:
    description: Hosts that have left the play because they are unreachable.
    type: list
    elements: str
    default: []
  stopped:
    description: Whether the run ends early, which is a failure even for apps without a change.
    type: bool
    default: false
attributes:
  check_mode:
    description: Sends nothing in check mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Notify the webhook
  asgi.deploy.fleet_notify:
    change: deploy
  run_once: true
"""

RETURN = r""" # """
