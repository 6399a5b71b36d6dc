#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app may use of this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: What an app may use of a host, and what the host has of what the app needs
version_added: 0.1.0
description:
  - Tells what the filter P(asgi.deploy.worker_plan#filter) takes to say how many workers an app should have. That is the
    CPU affinity that services inherit, the quotas and limits of control groups of both versions (of a container, of
    C(system.slice), of the app's own slice), the memory, and the other apps on the host.
  - Tells as well, in the same execution, which tasks of a role have something to do, so that the others need not be run.
    What it calls there is as these tasks would leave it. When in doubt it says that something is missing, and the task
    decides.
  - Reads only.
options:
  name:
    description: Name of the app. It need not be on the host yet.
    type: str
    required: true
  packages:
    description: Debian packages. Whatever is not a plain name, but has a version for instance, counts as missing.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  units:
    description: Units of systemd, with their suffix.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  paths:
    description: Files, directories and links.
    type: list
    elements: path
    default: []
    version_added: 0.2.0
  certificate:
    description: The certificate that M(asgi.deploy.selfsigned_pem) would have, with the options of that module.
    type: dict
    version_added: 0.2.0
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      names:
        description: The DNS names of the certificate.
        type: list
        elements: str
        required: true
      renew_days:
        description: A certificate that is valid for fewer days than this is to be replaced.
        type: int
        default: 30
      placeholder:
        description: Whether any certificate that fits its key will do.
        type: bool
        default: false
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

- name: See whether it has nginx
  asgi.deploy.host_info:
    name: hello
    packages: [nginx]
  register: found

- name: Install it where it is not
  ansible.builtin.apt:
    name: nginx
  when: found.missing_packages | length > 0
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
missing_packages:
  description: The packages that are not installed, or that were only installed because others need them.
  type: list
  elements: str
  returned: success
idle_units:
  description: The units that do not run, or do not start at boot.
  type: list
  elements: str
  returned: success
present_paths:
  description: The paths that exist.
  type: list
  elements: str
  returned: success
wanted_certificate:
  description: Why another certificate is needed; empty if the one that is there will do, or none was asked for.
  type: str
  returned: success
  sample: the names have changed
distribution:
  description: Name of the distribution, as Ansible's fact has it.
  type: str
  returned: success
  sample: Debian
distribution_major_version:
  description: Major version of the distribution, as Ansible's fact has it.
  type: str
  returned: success
  sample: "13"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.sys_info import get_distribution, get_distribution_version
from ansible_collections.asgi.deploy.plugins.module_utils.host import what_it_has
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.packages import missing
from ansible_collections.asgi.deploy.plugins.module_utils.selfsigned_pem import WANTED, why_wanted
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "certificate": {"type": "dict", "options": WANTED},
        },
        supports_check_mode=True,
    )
    wanted = module.params["units"]
    systemd = Systemd(module.run_command)
    try:
        found = what_it_has(App(layout(module.params["name"]), systemd, dry=True), module.params["paths"])
        units = systemd.show(*wanted) if wanted else {}
    except (ValueError, SystemdError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(
        changed=False,
        **found,
        missing_packages=missing(module.params["packages"]),
        idle_units=[unit for unit in wanted if unit not in units or not (units[unit].running and units[unit].enabled)],
        wanted_certificate=_wanted_certificate(module),
        distribution=get_distribution(),
        distribution_major_version=(get_distribution_version() or "").partition(".")[0],
    )


def _wanted_certificate(module):
    certificate, openssl = module.params["certificate"], module.get_bin_path("openssl")
    if not certificate:
        return ""
    if not openssl:
        return "there is no openssl to look at it"
    return why_wanted(module.run_command, openssl, **certificate)


if __name__ == "__main__":
    main()
