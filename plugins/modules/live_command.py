#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of the live release as the app's account, in the environment and sandbox of the live configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: live_command
short_description: Run a command of the live release
version_added: 1.0.0
description:
  - Runs the command as C(asgi <name> run) does on the host, with the code, the environment, the working directory and the sandbox of the
    live slot, regardless of the inventory. Hooks use M(asgi.deploy.release_command) instead.
  - The module returns only the first and the last half MiB of each output stream.
options:
  command:
    description: The command and its arguments in one string, split at spaces outside of quotes, but not run by a shell. Every account of
      the host can read it.
    type: str
  argv:
    description: The command and its arguments as a list, instead of O(command).
    type: list
    elements: str
  timeout:
    description: Maximum run time in seconds.
    type: int
    default: 3600
extends_documentation_fragment:
  - asgi.deploy.app
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
- name: Print the revision of the database
  asgi.deploy.live_command:
    name: hello
    command: alembic current
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

import shlex

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.command_context import from_configuration
from ansible_collections.asgi.deploy.plugins.module_utils._command.captured import run_captured
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import release_paths


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "command": {"type": "str"},
            "argv": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 3600},
        },
        mutually_exclusive=[["command", "argv"]],
        required_one_of=[["command", "argv"]],
    )
    app, paths = module.app, module.paths
    with module.reporting("command: "):
        argv = module.params["argv"] or shlex.split(module.params["command"] or "")
    if not argv:
        module.fail_json(msg="the command is empty")
    if module.check_mode:
        module.exit_json(skipped=True, msg="not run in check mode")
    module.require_deployed()
    live = app.live_pair()
    if live is None:
        module.fail_json(msg=f"no release of {paths['name']} is live on this host: deploy it first")
    with module.reporting():
        context = from_configuration(app, live, release_paths(paths["name"], live.release))
        environment = context.environment(paths, app.environment(live))
    run_captured(module, paths, context, argv, environment, module.params["timeout"], lambda text: app.hide(text, live))


if __name__ == "__main__":
    main()
