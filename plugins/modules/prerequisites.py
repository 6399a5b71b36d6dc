#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the things that a role needs a host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prerequisites
short_description: Which of the things that a role needs a host has
version_added: 0.2.0
description:
  - Tells in one execution which tasks of a role have something to do, so that the others need not be run. Reads only.
  - What it calls there is as the tasks would leave it. When in doubt it says that something is missing, and the task decides.
options:
  name:
    description:
      - Name of an app whose account is looked for.
      - The module fails if the host has an account or a group of that name which is not the app's, or, where the app has
        neither account nor home yet, somebody else's units or directory in C(/run).
    type: str
  packages:
    description: Debian packages. Whatever is not a plain name, but has a version for instance, counts as missing.
    type: list
    elements: str
    default: []
  units:
    description: Units of systemd, with their suffix.
    type: list
    elements: str
    default: []
  paths:
    description: Files, directories and links.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Reads in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: See what the host has
  asgi.deploy.prerequisites:
    packages: [nginx]
  register: found

- name: Install nginx
  ansible.builtin.apt:
    name: nginx
  when: found.missing_packages | length > 0
"""

RETURN = r"""
account:
  description: Whether the account of the app is as it should be.
  type: bool
  returned: success
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

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.sys_info import get_distribution, get_distribution_version
from ansible_collections.asgi.deploy.plugins.module_utils.claim import look_up
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.packages import missing
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "packages": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    name, wanted = module.params["name"], module.params["units"]
    try:
        account = look_up(layout(name)) if name else None
        units = Systemd(module.run_command).show(*wanted) if wanted else {}
    except (ValueError, SystemdError) as exc:
        module.fail_json(msg=str(exc))
    if account and account.objection:
        module.fail_json(msg=f"asgi_name is '{name}', but {account.objection}; nothing has been changed")
    module.exit_json(
        changed=False,
        account=bool(account and account.ready),
        missing_packages=missing(module.params["packages"]),
        idle_units=[unit for unit in wanted if unit not in units or not (units[unit].running and units[unit].enabled)],
        present_paths=[path for path in module.params["paths"] if os.path.lexists(path)],
        distribution=get_distribution(),
        distribution_major_version=(get_distribution_version() or "").partition(".")[0],
    )


if __name__ == "__main__":
    main()
