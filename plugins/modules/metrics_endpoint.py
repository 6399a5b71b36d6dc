#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve the metrics of an app, or cease to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_endpoint
short_description: Serve the metrics of an app to Prometheus
version_added: 0.1.0
description:
  - Writes the units C(<app>-metrics.socket) and C(<app>-metrics.service) and the program that they start, and has systemd
    listen, now and at boot. The program is started by the first scrape.
  - Refuses an address at which another app of the host or any other process listens, before it changes anything.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  state:
    description: V(present) to serve them, V(absent) to remove what serves them.
    type: str
    choices: [present, absent]
    default: present
  socket:
    description: Text of the socket unit. Needed with O(state=present).
    type: str
  service:
    description: Text of the service unit. Needed with O(state=present).
    type: str
  program:
    description: Text of the program. Needed with O(state=present).
    type: str
attributes:
  check_mode:
    description: Refuses what it would refuse, and tells what it would do.
    support: full
  diff_mode:
    description: Shows what is done.
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
    program: "{{ lookup('ansible.builtin.file', 'metrics_exporter.py', rstrip=false) }}"
"""

RETURN = r"""
changes:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
  sample: [write /etc/systemd/system/hello-metrics.socket]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.metrics_endpoint import Endpoint, Taken
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError

TEXTS = ("socket", "service", "program")


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **{text: {"type": "str"} for text in TEXTS},
        },
        required_if=[("state", "present", TEXTS)],
        supports_check_mode=True,
    )
    try:
        endpoint = Endpoint(layout(module.params["name"]), Systemd(module.run_command), module.check_mode)
        if module.params["state"] == "present":
            endpoint.provide({f"metrics_{text}": module.params[text] for text in TEXTS})
        else:
            endpoint.remove()
    except Taken as exc:
        module.fail_json(msg=f"{exc}; nothing has been changed -> choose another asgi_server_metrics_listen")
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}")
    except (ValueError, OSError) as exc:
        module.fail_json(msg=str(exc))
    diff = {"before": "", "after": "".join(f"{change}\n" for change in endpoint.changes)}
    module.exit_json(changed=bool(endpoint.changes), changes=endpoint.changes, diff=diff)


if __name__ == "__main__":
    main()
