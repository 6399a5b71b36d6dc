#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return the last lines of an app's log."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_log
short_description: Return the last lines of the log of an app
version_added: 1.0.0
description: Reads the journal of the app's slots, as C(asgi <name> logs) does on the host. Changes nothing.
options:
  lines:
    description: Number of lines.
    type: int
    default: 100
  since:
    description: Start of the lines, as a time of C(journalctl), such as V(10 min ago).
    type: str
  process:
    description: Restricts the log to one process of the app; V(web) is the web server.
    type: str
extends_documentation_fragment:
  - asgi.deploy.app
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Return the errors of the last hour
  asgi.deploy.app_log:
    name: hello
    since: 1 h ago
  register: log
"""

RETURN = r"""
lines:
  description: The lines, the oldest first. Values of the app's environment with six characters or more are masked.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._command.journal import journal_command


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "lines": {"type": "int", "default": 100},
            "since": {"type": "str"},
            "process": {"type": "str"},
        },
        read_only=True,
    )
    app, params = module.app, module.params
    module.require_deployed()
    with module.reporting():
        command = journal_command(app, params["process"], params["lines"], params["since"])
        status, text, errors = module.run_command(command)
        if status:
            module.fail_json(msg=f"journalctl ended with status {status}: {errors.strip()}")
        for pair in set(filter(None, app.state().pairs.values())):
            text = app.hide(text, pair)
    module.exit_json(changed=False, lines=text.splitlines())


if __name__ == "__main__":
    main()
