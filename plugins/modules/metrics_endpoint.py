#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage the metrics endpoint of an app."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_endpoint
short_description: Serve the metrics of an app to Prometheus
version_added: 1.0.0
description:
  - Writes the units C(<app>-metrics.socket) and C(<app>-metrics.service) and the exporter, and starts and enables the socket. The
    first scrape starts the exporter.
  - Mounts a file system for the counters, which limits their size.
  - Fails before any change if another app or process of the host listens at the address, or if the socket's group does not exist.
options:
  state:
    description: V(present) creates the endpoint, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  socket:
    description: Content of the socket unit. Required with O(state=present).
    type: str
  service:
    description: Content of the service unit. Required with O(state=present).
    type: str
  mount:
    description: Content of the mount unit for the counters. Required with O(state=present).
    type: str
  program:
    description: Content of the exporter. Required with O(state=present).
    type: str
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Fails in the same cases, and reports the changes that would be made.
    support: full
  diff_mode:
    description: Shows the changes.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Serve the metrics of an app
  asgi.deploy.metrics_endpoint:
    name: hello
    socket: "{{ lookup('ansible.builtin.template', 'app-metrics.socket.j2') }}"
    service: "{{ lookup('ansible.builtin.template', 'app-metrics.service.j2') }}"
    mount: "{{ lookup('ansible.builtin.template', 'run-app-counters.mount.j2') }}"
    program: "{{ lookup('ansible.builtin.file', 'metrics_exporter.py', rstrip=false) }}"
"""

RETURN = r"""
changes:
  description: The changes, or in check mode the changes that would be made, one sentence each.
  type: list
  elements: str
  returned: success
  sample: [write /etc/systemd/system/hello-metrics.socket]
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.metrics_endpoint import Endpoint

TEXTS = ("socket", "service", "mount", "program")


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **{text: {"type": "str"} for text in TEXTS},
        },
        required_if=[("state", "present", TEXTS)],
    )
    endpoint = Endpoint(module.paths, module.systemd, module.check_mode)
    if module.params["state"] == "present":
        with module.reporting("the metrics are not served as configured: "):
            endpoint.provide({f"metrics_{text}": module.params[text] for text in TEXTS})
    else:
        with module.reporting():
            endpoint.remove()
    diff = {"before": "", "after": "".join(f"{change}\n" for change in endpoint.changes)}
    module.exit_json(changed=bool(endpoint.changes), changes=endpoint.changes, diff=diff)


if __name__ == "__main__":
    main()
