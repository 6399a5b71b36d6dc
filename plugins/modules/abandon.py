#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give up a release that is being activated, because something beside it failed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: abandon
short_description: Give up a release that is being activated
version_added: 0.1.0
description:
  - Stops what M(asgi.deploy.activate) has brought up in a slot, notes it as bad, and makes sure that what was live before
    serves. If the slot has the traffic already, the earlier release is activated again.
  - The C(asgi_server) role does so when a hook of the user fails.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  slot:
    description: Slot that holds the release to give up, as M(asgi.deploy.activate) returned it.
    type: str
    choices: [blue, green]
    required: true
  reason:
    description: Why, for the release log.
    type: str
    required: true
  by:
    description: Who deploys, for the release log.
    type: str
    default: ""
attributes:
  check_mode:
    description: Does nothing in check mode, where nothing has been activated.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Give up what was booted in the green slot
  asgi.deploy.abandon:
    name: hello
    slot: green
    reason: the smoke test failed
"""

RETURN = r"""
serving:
  description: What takes the traffic now, in words.
  type: str
  returned: success
  sample: release src-4f0c1d2a9b goes on serving in slot blue
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.layout import SLOTS, layout
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import NoSuchRelease
from ansible_collections.asgi.deploy.plugins.module_utils.slots import ActivationError, App, Locked
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "slot": {"type": "str", "choices": list(SLOTS), "required": True},
            "reason": {"type": "str", "required": True},
            "by": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        app = App(layout(module.params["name"]), Systemd(module.run_command), module.check_mode, module.params["by"])
        if not module.check_mode:
            with app.lock(wait=30, why="abandons a release"):
                app.abandon(module.params["slot"], module.params["reason"], app.state())
        serving = app.serving()
    except NoSuchRelease as exc:
        module.fail_json(msg=f"the release cannot be given up, and goes on serving: {exc}")
    except (ValueError, Locked) as exc:
        module.fail_json(msg=str(exc))
    except (ActivationError, SystemdError) as exc:
        module.fail_json(msg=f"the release could not be given up: {exc}\n{getattr(exc, 'journal', '')}".rstrip())
    module.exit_json(changed=True, serving=serving)


if __name__ == "__main__":
    main()
