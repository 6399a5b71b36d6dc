#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace every worker of the live slot in place, and see that it happened."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reload
short_description: Replace the workers of an app gracefully, in place
version_added: 0.1.0
description:
  - Checks that what is on disk still boots, sends the live slot's gunicorn a HUP through systemd, and waits until every
    old worker has gone, as many new ones are there, and the app answers on its own socket.
  - Fails without touching anything when the check does not pass, and fails when the workers were not replaced.
  - A server that is a single process (C(asgi_server_type=uvicorn)) cannot do so in place. The same release with the same
    configuration is then brought up in the other slot, which gets the traffic, and which is its own check.
  - A reload runs the same release with the same configuration; a change of either is activated (M(asgi.deploy.activate)).
options:
  name:
    description: Name of the app.
    type: str
    required: true
  timeout:
    description:
      - Seconds to wait for the old workers.
      - By default as long as the live configuration gives the new ones to boot and the old ones to drain.
      - Without meaning where the other slot takes over, which waits as long as an activation does.
    type: int
  by:
    description: Who reloads, for the release log and for others who find the app locked.
    type: str
    default: ""
attributes:
  check_mode:
    description: Runs the check, sends no signal.
    support: full
  diff_mode:
    description: There is nothing to compare; a reload changes no file.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Replace the workers
  asgi.deploy.reload:
    name: hello
"""

RETURN = r"""
release:
  description: Id of the live release.
  type: str
  returned: success
slot:
  description: The slot that is live now.
  type: str
  returned: success
workers:
  description: Process ids of the new workers.
  type: list
  elements: int
  returned: success
replaced:
  description: Process ids of the workers that were replaced.
  type: list
  elements: int
  returned: success
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.account import TimedOut, run_as
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout, release_paths
from ansible_collections.asgi.deploy.plugins.module_utils.probe import wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils.slots import ActivationError, App, Locked
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.asgi.deploy.plugins.module_utils.workers import serving, wait_replaced

CHECK_SECONDS = 60


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "timeout": {"type": "int"},
            "by": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        paths = layout(module.params["name"])
    except ValueError as exc:
        module.fail_json(msg=str(exc))

    systemd = Systemd(module.run_command)
    app = App(paths, systemd, dry=module.check_mode, by=module.params["by"])
    try:
        with app.lock():
            result = _reload(module, app, systemd, paths)
    except Locked as exc:
        module.fail_json(msg=str(exc))
    except FileNotFoundError as exc:
        module.fail_json(msg=f"{paths['name']} has never been deployed on this host: {exc}")
    except ActivationError as exc:
        said = f"{exc}\n{exc.journal}".rstrip()
        module.fail_json(msg=f"{paths['name']} was not reloaded, and goes on serving: {said}")
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}")
    module.exit_json(changed=True, **result)


def _reload(module, app, systemd, paths):
    state = app.state()
    if state.live is None:
        module.fail_json(msg=f"{paths['name']} is not live on this host: deploy it first")
    its = paths["slots"][state.live]
    service = state.units[its["service_unit"]]
    if not service.running or not service.main_pid:
        module.fail_json(msg=f"{its['service_unit']} is {service.active}: start it, or run site.yml, which does")

    old = serving(service)
    if not service.can_reload:
        slot = app.activate(state.live_pair, state, app.probe_of(state.live_pair), anew=True)
        workers = [] if module.check_mode else sorted(serving(app.state().units[paths["slots"][slot]["service_unit"]]))
        return {"release": state.live_pair.release, "slot": slot, "replaced": sorted(old), "workers": workers}

    _check(module, app, paths, its, state.live_pair)
    result = {"release": state.live_pair.release, "slot": state.live, "replaced": sorted(old), "workers": []}
    if module.check_mode:
        return result

    began = time.time()
    systemd.reload(its["service_unit"])
    timeout = module.params["timeout"] or app.reload_seconds(state.live_pair)
    fault = wait_replaced(old, lambda: serving(service), timeout)
    fault = fault or wait_healthy(its["socket"], app.probe_of(state.live_pair))
    if fault:
        said = app.hide(f"{fault}\n{systemd.journal(its['service_unit'], began)}", state.live_pair)
        module.fail_json(msg=f"{its['service_unit']} was not reloaded: {said}".rstrip())
    return {**result, "workers": sorted(serving(service))}


def _check(module, app, paths, its, pair):
    """Fail unless gunicorn can read its configuration and import the app, as the app's user, in its environment."""
    release = release_paths(paths["name"], pair.release)
    config = os.path.join(paths["configs"], pair.config, "gunicorn.conf.py")
    command = [release["python"], "-m", "gunicorn", "--check-config", "--config", config]
    environment = {**app.environment(pair), "ASGI_SLOT": its["name"]}
    try:
        status, _out, said = run_as(paths["user"], command, release["code"], environment, CHECK_SECONDS)
    except TimedOut:
        status, said = 1, f"its import took more than {CHECK_SECONDS} s"
    if status:
        tail = app.hide("\n".join(said.strip().splitlines()[-15:]), pair)
        module.fail_json(msg=f"{its['service_unit']} was not reloaded: what is on disk would not boot\n{tail}")


if __name__ == "__main__":
    main()
