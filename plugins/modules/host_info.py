#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return the resources of this host for an app, and the missing prerequisites."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Return the resources of a host for an app, and the missing prerequisites
version_added: 1.0.0
description:
  - Returns the input of the filter P(asgi.deploy.worker_plan#filter), which plans the number of workers. The input consists of
    the CPU affinity that services inherit, the quotas and limits of control groups v1 and v2 (of a container, of
    C(system.slice), of the app's own slice), the memory, and the other apps on the host.
  - Also returns which packages, units, paths and certificates are missing, so that a role can skip the tasks that would change
    nothing. An object whose existence the module cannot determine counts as missing, so that the role runs the task.
  - Changes nothing.
options:
  name:
    description: Name of the app, which need not be on the host yet.
    type: str
    required: true
  packages:
    description: Debian packages. A package with a version, or any specification other than a plain name, counts as missing.
    type: list
    elements: str
    default: []
  units:
    description: Systemd units, with their suffix.
    type: list
    elements: str
    default: []
  paths:
    description: Files, directories and symlinks.
    type: list
    elements: path
    default: []
  interfaces:
    description: Whether to report the network interfaces.
    type: bool
    default: false
  certificate:
    description: A certificate of M(asgi.deploy.selfsigned_pem), with the options of that module.
    type: dict
    suboptions:
      path:
        description: Path of the file.
        type: path
        required: true
      names:
        description: The DNS names of the certificate.
        type: list
        elements: str
        required: true
      renew_days:
        description: Replace a certificate that is valid for fewer days than this.
        type: int
        default: 30
      placeholder:
        description: Whether any certificate that matches its key is sufficient.
        type: bool
        default: false
      directory_mode:
        description: Mode of the directory of the certificate.
        type: str
  nginx:
    description: Whether to report the features of nginx.
    type: bool
    default: false
  served_directories:
    description: Directories below the app's shared directory that nginx serves, as in M(asgi.deploy.served_directories).
    type: list
    elements: str
extends_documentation_fragment:
  - asgi.deploy.read_only
seealso:
  - plugin: asgi.deploy.worker_plan
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Return the resources for the app
  asgi.deploy.host_info:
    name: hello
  register: found

- name: Print the planned number of workers
  ansible.builtin.debug:
    msg: "{{ (found.capacity | asgi.deploy.worker_plan(worker_memory=128, app='hello')).reason }}"

- name: Check whether nginx is installed
  asgi.deploy.host_info:
    name: hello
    packages: [nginx]
  register: found

- name: Install nginx
  ansible.builtin.apt:
    name: nginx
  when: found.missing_packages | length > 0
"""

RETURN = r"""
capacity:
  description: Resources that the app can use. Unlimited and unknown values are null.
  type: dict
  returned: success
  contains:
    processor_nproc:
      description: Number of CPUs that services can run on.
      type: int
    memtotal_mb:
      description: Memory of the host in MiB.
      type: int
    cgroup_cpus:
      description: CPU quota of the control groups of all services or of the app's slice, in CPUs.
      type: float
    cgroup_memory_mb:
      description: Memory limit of the control groups of all services, in MiB.
      type: int
    cgroup_app_memory_mb:
      description: Memory limit of the slice with both slots of the app, in MiB.
      type: int
    measured_memory_mb:
      description: Memory of the largest live worker of the app in MiB, including its share of memory that the workers share.
      type: int
    apps:
      description: The staged apps on the host, each with its C(name), the number of C(workers) in the live configuration, the
        C(worker_memory) in MiB and the C(reason) of the plan.
      type: list
      elements: dict
missing_packages:
  description: The packages that are not installed, or that are installed only as dependencies of other packages.
  type: list
  elements: str
  returned: success
idle_units:
  description: The units that are not running or not enabled.
  type: list
  elements: str
  returned: success
present_paths:
  description: The paths that exist.
  type: list
  elements: str
  returned: success
interfaces:
  description: Addresses with prefix lengths by network interface.
  type: dict
  returned: success
wanted_certificate:
  description: Why M(asgi.deploy.selfsigned_pem) would change the certificate or the access to it. Empty if that module would
    change nothing, or without O(certificate).
  type: str
  returned: success
  sample: the names have changed
closed_directories:
  description: The directories that M(asgi.deploy.served_directories) would change.
  type: list
  elements: str
  returned: if O(served_directories) is set
nginx:
  description: The installed nginx, or the version that apt would install.
  type: dict
  returned: if O(nginx) is set
  contains:
    version:
      description: Version of nginx; empty if it is unknown, or if the program is a fork that reports its own version.
      type: str
      sample: 1.26.3
    source:
      description: Source of the version, V(installed), V(candidate) (of apt) or V(distribution).
      type: str
      sample: installed
    http2_directive:
      description: Whether nginx has the directive C(http2).
      type: bool
    http3:
      description: Whether nginx supports HTTP/3.
      type: bool
    keepalive_min_timeout:
      description: Whether nginx has the directive C(keepalive_min_timeout).
      type: bool
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.host_facts import host_facts
from ansible_collections.asgi.deploy.plugins.module_utils._app.served_directories import ServedDirectories
from ansible_collections.asgi.deploy.plugins.module_utils._balancer.vrrp import interfaces
from ansible_collections.asgi.deploy.plugins.module_utils._host.packages import missing
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_version import host_nginx
from ansible_collections.asgi.deploy.plugins.module_utils._tls.selfsigned_pem import WANTED, why_exposed, why_wanted


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "interfaces": {"type": "bool", "default": False},
            "certificate": {"type": "dict", "options": WANTED},
            "nginx": {"type": "bool", "default": False},
            "served_directories": {"type": "list", "elements": "str"},
        },
        read_only=True,
    )
    wanted, served = module.params["units"], module.params["served_directories"]
    with module.reporting():
        found = host_facts(module.app, module.params["paths"])
        units = module.systemd.show(*wanted) if wanted else {}
        packages = missing(module.params["packages"])
        closed = ServedDirectories(module.paths, served, dry=True).apply() if served is not None else []
    module.exit_json(
        changed=False,
        **found,
        missing_packages=packages,
        idle_units=[unit for unit in wanted if unit not in units or not (units[unit].running and units[unit].enabled)],
        interfaces=interfaces(module.run_command) if module.params["interfaces"] else {},
        wanted_certificate=_wanted_certificate(module),
        **({"closed_directories": closed} if served is not None else {}),
        **({"nginx": _nginx(module)} if module.params["nginx"] else {}),
    )


def _nginx(module):
    nginx = module.get_bin_path("nginx", opt_dirs=["/usr/sbin"])
    return host_nginx(module.run_command, nginx, module.get_bin_path("apt-cache"))


def _wanted_certificate(module):
    certificate, openssl = module.params["certificate"], module.get_bin_path("openssl")
    if not certificate:
        return ""
    if not openssl:
        return "openssl is not installed"
    directory_mode = certificate.pop("directory_mode")
    return why_wanted(module.run_command, openssl, **certificate) or why_exposed(certificate["path"], directory_mode)


if __name__ == "__main__":
    main()
