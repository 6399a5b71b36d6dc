#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop an app for good, and remove its slots and units."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deactivate
short_description: Stop an app for good, and remove its slots and units
version_added: 0.1.0
description:
  - Disables and stops both slots of an app, which answer what they have, and removes what M(asgi.deploy.activate) and the
    C(asgi_server) role have put on the host for it, which is units, drop-ins, sockets, slots, configurations with their
    environment, and the release log.
  - Releases, data and the account stay; M(asgi.deploy.unstage) removes the first two.
  - Refuses while somebody changes the app or builds a release of it, and if the account of that name is not the app's.
  - What interrupts it is made good by running it again. Does nothing for an app that is not on the host.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  by:
    description: Who removes it, for those who meanwhile try to deploy it.
    type: str
    default: ""
attributes:
  check_mode:
    description: Refuses what it would refuse, and tells what it would remove.
    support: full
  diff_mode:
    description: Shows what is done.
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
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
  sample: [remove /etc/systemd/system/hello@.service]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.metrics_endpoint import Endpoint
from ansible_collections.asgi.deploy.plugins.module_utils.removal import Refused, is_ours, refuse_while_changed
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App, Locked
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "by": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    try:
        app = App(layout(module.params["name"]), Systemd(module.run_command), module.check_mode, module.params["by"])
        endpoint = Endpoint(app.paths, app.systemd, module.check_mode)
        if is_ours(app.paths):
            refuse_while_changed(app.paths)
            with app.lock(why="uninstalls it"):
                endpoint.remove()
                app.remove()
    except (ValueError, Refused, Locked) as exc:
        module.fail_json(msg=str(exc))
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}")
    except OSError as exc:
        module.fail_json(msg=f"{reason_of(exc)}; mend that and run this again")
    changes = endpoint.changes + app.changes
    diff = {"before": "", "after": "".join(f"{change}\n" for change in changes)}
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)


if __name__ == "__main__":
    main()
