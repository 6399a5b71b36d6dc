#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of a release as the app's account, in the app's environment and sandbox."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_command
short_description: Run a command of a release as the app's account
version_added: 1.0.0
description:
  - Use this module in hooks, for instance for a database migration. The command runs in the working directory of the app, by default
    the release's code, see C(asgi_server_working_directory). Python imports modules from the code in either case. The programs of the
    virtual environment come first in C(PATH). The environment is that of the app, C(asgi_env) included, without C(ASGI_SLOT).
  - Unlike with Ansible's keyword C(environment), the values of C(asgi_env) and O(environment) do not appear on a command line or
    in a log.
  - The command runs in a transient systemd unit, in the sandbox and with the limits of the app's slots, see
    C(asgi_server_unit_settings). When it ends, systemd kills all its child processes.
  - The module returns only the first and the last half MiB of each output stream.
options:
  name:
    description: Name of the app. The default is the variable C(asgi_name).
    type: str
  release:
    description: Id of the release. The default in a hook is its release, C(asgi_release.id); other tasks must set this option.
    type: str
  argv:
    description: The command and its arguments, without a shell. Every account of the host can read them.
    type: list
    elements: str
    required: true
  environment:
    description: Environment variables besides those in the variable C(asgi_env), which they override. A dictionary, or its JSON.
    type: json
  timeout:
    description: Maximum run time in seconds.
    type: int
    default: 3600
  sandbox:
    description: The variables of the role C(asgi_server) that configure the app's sandbox. The action plugin sets this option; tasks
      must not set it.
    type: dict
attributes:
  check_mode:
    description: Can run in check mode.
    support: partial
    details: The command is not run.
  diff_mode:
    description: Returns no differences.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Load the countries in a hook
  asgi.deploy.release_command:
    argv: [python, manage.py, loaddata, countries]

- name: Print the revision of the database outside of a hook
  asgi.deploy.release_command:
    release: "{{ asgi_app_release.release }}"
    argv: [alembic, current]
"""

RETURN = r"""
rc:
  description: Exit status of the command.
  type: int
  returned: if the command ended
stdout:
  description: Standard output. Values of the environment with six characters or more are masked.
  type: str
  returned: if the command was started, even if it was killed
stderr:
  description: Standard error, masked in the same way.
  type: str
  returned: if the command was started, even if it was killed
"""

import json

from ansible_collections.asgi.deploy.plugins.module_utils._app.command_context import from_variables
from ansible_collections.asgi.deploy.plugins.module_utils._command.captured import run_captured
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import check_environment, hide
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout, release_paths


def main():
    module = HostModule(
        argument_spec={
            "name": {"type": "str"},
            "release": {"type": "str"},
            "argv": {"type": "list", "elements": "str", "required": True},
            # Without a default, because Ansible would mask it in the whole output.
            "environment": {"type": "json", "no_log": True},
            "timeout": {"type": "int", "default": 3600},
            "sandbox": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    argv, timeout = module.params["argv"], module.params["timeout"]
    for option, default in (("name", "asgi_name is not set"), ("release", "the task is not part of a hook")):
        if not module.params[option]:
            module.fail_json(msg=f"{option} is missing, and {default} -> set {option}")
    if not argv:
        module.fail_json(msg="argv is empty: set a command")
    if module.check_mode:
        module.exit_json(skipped=True, msg="not run in check mode")
    with module.reporting():
        paths = layout(module.params["name"])
        release = release_paths(paths["name"], module.params["release"])
        secrets = check_environment(json.loads(module.params["environment"] or "{}"))
        context = from_variables(paths, release, module.params["sandbox"] or {})
        environment = context.environment(paths, secrets)
    run_captured(module, paths, context, argv, environment, timeout, lambda text: hide(text, secrets))


if __name__ == "__main__":
    main()
