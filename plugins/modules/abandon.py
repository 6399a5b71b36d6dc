#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Abandon a release that is being activated."""

from __future__ import annotations

DOCUMENTATION = r"""
module: abandon
short_description: Abandon a release that is being activated
version_added: 1.0.0
description:
  - Stops the release that M(asgi.deploy.activate) has booted in a slot, marks it as bad in the release log, and makes sure that the
    previous release serves. If the slot already has the traffic, the previous release is activated again.
  - The C(asgi_server) role uses this module when a hook fails.
options:
  slot:
    description: Slot of the release, as returned by M(asgi.deploy.activate).
    type: str
    choices: [blue, green]
    required: true
  reason:
    description: Reason for abandoning the release, recorded in the release log.
    type: str
    required: true
  by:
    description: Name of the person who deploys, recorded in the release log.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Changes nothing in check mode, because nothing has been activated.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Abandon the release in the green slot
  asgi.deploy.abandon:
    name: hello
    slot: green
    reason: the smoke test failed
"""

RETURN = r"""
serving:
  description: A sentence about the release that has the traffic now.
  type: str
  returned: success
  sample: release src-4f0c1d2a9b keeps serving in slot blue
marker:
  description: The deploy marker, in the format of M(asgi.deploy.activate).
  type: dict
  returned: if the app was changed, or a change of it failed
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "slot": {"type": "str", "choices": list(SLOTS), "required": True},
            "reason": {"type": "str", "required": True},
            "by": {"type": "str", "default": ""},
        },
    )
    app, failure = module.app, f"the release in slot {module.params['slot']} was not abandoned"
    with module.reporting_activation(failure), module.reporting(f"{failure}: "):
        if not module.check_mode:
            with app.lock(wait=30, why="abandons a release"):
                marker, state = module.begin("abandon"), app.state()
                marker.source, marker.reason = state.pairs[module.params["slot"]], module.params["reason"]
                app.abandon(module.params["slot"], module.params["reason"], state)
                marker.target = app.live_pair()
        serving = app.serving()
    module.exit_json(changed=True, serving=serving)


if __name__ == "__main__":
    main()
