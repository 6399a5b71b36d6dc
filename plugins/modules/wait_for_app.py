#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the live release of an app is healthy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_for_app
short_description: Wait until an app on a host is healthy
version_added: 1.0.0
description:
  - Repeats the health check of the live release over the live socket until the check succeeds. The options of the health check are
    those with which M(asgi.deploy.activate) has activated the release.
  - Can be used while the host is booting.
options:
  timeout:
    description: Seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - asgi.deploy.app
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Wait until the app is healthy
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
  description: Duration of the wait.
  type: float
  returned: success
"""

import time

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import wait_healthy


def main():
    module = AppModule(
        argument_spec={"name": {"type": "str", "required": True}, "timeout": {"type": "int", "default": 60}},
        read_only=True,
    )
    app, paths, began = module.app, module.paths, time.monotonic()
    with module.reporting():
        pair = app.live_pair()
        if pair is None:
            module.fail_json(msg=f"{paths['name']} is not live on this host: deploy it first")
        probe = app.probe_of(pair)._replace(deadline=module.params["timeout"])
    fault = wait_healthy(paths["live_socket"], probe)
    if fault:
        module.fail_json(
            msg=app.hide(f"{paths['name']} is not healthy after {module.params['timeout']} s: {fault}", pair)
        )
    module.exit_json(changed=False, release=pair.release, seconds=round(time.monotonic() - began, 1))


if __name__ == "__main__":
    main()
