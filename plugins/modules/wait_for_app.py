#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the live release of an app is healthy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_app
short_description: Wait until an app on a host is healthy
version_added: 0.1.0
description:
  - Asks the live release of an app for its health over its own socket, as M(asgi.deploy.activate) did when it went live, until
    it answers well as often in a row as was wanted then.
  - Waits for systemd as well, so that it can be asked of a host that is booting.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  timeout:
    description: Seconds to wait.
    type: int
    default: 60
attributes:
  check_mode:
    description: Asks in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Wait until the app is back
  asgi.deploy.wait_for_app:
    name: hello
    timeout: 120
"""

RETURN = r"""
release:
  description: Id of the live release.
  type: str
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.probe import wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "timeout": {"type": "int", "default": 60}},
        supports_check_mode=True,
    )
    began = time.monotonic()
    try:
        paths = layout(module.params["name"])
        app = App(paths, Systemd(module.run_command), dry=True)
        pair = app.live_pair()
        if pair is None:
            module.fail_json(msg=f"{paths['name']} is not live on this host: deploy it first")
        probe = app.probe_of(pair)._replace(deadline=module.params["timeout"])
    except (ValueError, OSError) as exc:
        module.fail_json(msg=str(exc))
    fault = wait_healthy(paths["live_socket"], probe)
    if fault:
        module.fail_json(
            msg=app.hide(f"{paths['name']} is not healthy after {module.params['timeout']} s: {fault}", pair)
        )
    module.exit_json(changed=False, release=pair.release, seconds=round(time.monotonic() - began, 1))


if __name__ == "__main__":
    main()
