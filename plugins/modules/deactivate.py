#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the slots and units of an app."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deactivate
short_description: Remove the slots and units of an app
version_added: 1.0.0
description:
  - Disables, drains and stops both slots of an app, and removes the files of M(asgi.deploy.activate) and of the C(asgi_server)
    role, which are units, drop-ins, sockets, slots, configurations with their environment, and the release log.
  - Keeps releases, data and the account. M(asgi.deploy.unstage) removes the releases and optionally the data.
  - Fails while another process changes the app or builds a release of it, and if the account with the app's name does not belong to
    the app.
  - Can be run again after an interruption. Does nothing if the app is not on the host.
options:
  by:
    description: Name of the person who removes the app, recorded in the lock.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Fails in the same cases, and reports the files that would be removed.
    support: full
  diff_mode:
    description: Shows the changes.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Remove the slots and the units of an app
  asgi.deploy.deactivate:
    name: hello
"""

RETURN = r"""
changes:
  description: The changes, or in check mode the changes that would be made, one sentence each.
  type: list
  elements: str
  returned: success
  sample: [remove /etc/systemd/system/hello@.service]
marker:
  description: The deploy marker, in the format of M(asgi.deploy.activate).
  type: dict
  returned: if the app was changed, or a change of it failed
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.metrics_endpoint import Endpoint
from ansible_collections.asgi.deploy.plugins.module_utils._app.removal import is_present, refuse_while_changed


def main():
    module = AppModule(argument_spec={"name": {"type": "str", "required": True}, "by": {"type": "str", "default": ""}})
    app = module.app
    with module.reporting():
        endpoint = Endpoint(app.paths, app.systemd, module.check_mode)
        if is_present(app.paths):
            refuse_while_changed(app.paths)
            with app.lock(why="uninstalls it"):
                marker = module.begin("uninstall")
                marker.source = app.live_pair()
                endpoint.remove()
                app.remove()
                marker.made = bool(endpoint.changes or app.changes)
    changes = endpoint.changes + app.changes
    diff = {"before": "", "after": "".join(f"{change}\n" for change in changes)}
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)


if __name__ == "__main__":
    main()
