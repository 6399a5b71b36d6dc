#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app may use of this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: How many CPUs and how much memory an app may use on a host
version_added: 0.1.0
description:
  - Tells what the filter P(asgi.deploy.worker_plan#filter) takes to say how many workers an app should have. Reads only.
  - That is the CPU affinity that services inherit, the quotas and limits of control groups of both versions (of a
    container, of C(system.slice), of the app's own slice), the memory, and the other apps on the host.
options:
  name:
    description: Name of the app. It need not be on the host yet.
    type: str
    required: true
attributes:
  check_mode:
    description: Reads in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - plugin: asgi.deploy.worker_plan
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: See what the host has for the app
  asgi.deploy.host_info:
    name: hello
  register: found

- name: Say how many workers it should have
  ansible.builtin.debug:
    msg: "{{ (found.capacity | asgi.deploy.worker_plan(worker_memory=128, app='hello')).reason }}"
"""

RETURN = r"""
capacity:
  description: What the app may use. What is not limited or not known is null.
  type: dict
  returned: success
  contains:
    processor_nproc:
      description: CPUs that services may run on.
      type: int
    memtotal_mb:
      description: Memory of the host in MiB.
      type: int
    cgroup_cpus:
      description: How many CPUs the control groups of all services or of the app's slice may use at once.
      type: float
    cgroup_memory_mb:
      description: Limit of the control groups of all services, in MiB.
      type: int
    cgroup_app_memory_mb:
      description: Limit of the slice that has both slots of the app, in MiB.
      type: int
    measured_memory_mb:
      description: Memory of the largest live worker of the app in MiB, with its share of what the workers have in common.
      type: int
    apps:
      description:
        - The apps that are staged on the host, each with its C(name), the number of C(workers) of the live
          configuration, the C(worker_memory) in MiB and the C(reason) that it was planned with.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.capacity import capacity, measured_memory
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.asgi.deploy.plugins.module_utils.workers import serving


def main():
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    try:
        paths = layout(module.params["name"])
        found = capacity(paths["name"])
        state = App(paths, Systemd(module.run_command), dry=True).state()
    except (ValueError, SystemdError) as exc:
        module.fail_json(msg=str(exc))
    service = state.units[paths["slots"][state.live]["service_unit"]] if state.live else None
    found["measured_memory_mb"] = measured_memory(serving(service)) if service else None
    module.exit_json(changed=False, capacity=found)


if __name__ == "__main__":
    main()
