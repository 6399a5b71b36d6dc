#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace the workers of the live slot in place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reload
short_description: Replace the workers of an app gracefully, in place
version_added: 1.0.0
description:
  - Checks that the live release still boots, sends SIGHUP to the live slot's gunicorn through systemd, and waits until all old
    workers have exited, the same number of new workers runs, and the health check succeeds on the slot's own socket.
  - Then restarts the background processes of the app one after the other, or sends SIGHUP to those with C(reload) V(signal), and waits
    until each is ready. It waits for a process to finish its work for up to its C(stop_timeout).
  - Waits for a reload that is already running, for instance from C(systemctl reload). Reloads requested in the meantime are coalesced.
  - Fails before any change if the check fails, and fails if the workers were not replaced.
  - A server with a single process (C(asgi_server_type=uvicorn)) cannot be reloaded in place. The module then boots the same
    release with the same configuration in the other slot and switches the traffic to it. It does the same if the socket of the
    live slot accepts no connections, for instance because its file was removed.
  - A reload keeps the release and the configuration. To change them, use M(asgi.deploy.activate).
options:
  timeout:
    description:
      - Seconds to wait for the old workers.
      - The default is the sum of the boot timeout and the drain timeout of the live configuration.
      - Has no effect if the other slot takes over, because then the timeouts of an activation apply.
    type: int
  by:
    description: Name of the person who reloads the app, recorded in the release log and the lock.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Runs the check but sends no signal.
    support: full
  diff_mode:
    description: A reload changes no file.
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
  description: The live slot.
  type: str
  returned: success
workers:
  description: Process ids of the new workers.
  type: list
  elements: int
  returned: success
site:
  description: Whether the site answers from the live slot, in the format of M(asgi.deploy.site_check).
  type: dict
  returned: success
replaced:
  description: Process ids of the workers that were replaced.
  type: list
  elements: int
  returned: success
processes:
  description: Units of the background processes that were restarted or got SIGHUP, one after the other.
  type: list
  elements: str
  returned: if the workers were replaced in place
marker:
  description: The deploy marker, in the format of M(asgi.deploy.activate).
  type: dict
  returned: if the app was changed, or a change of it failed
"""

import os
import time

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import SERVICE_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import from_drop_in, transient
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import reload_number, serving, wait_replaced
from ansible_collections.asgi.deploy.plugins.module_utils._command.restart import restart
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import without_withheld
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import condense
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import release_paths
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TimedOut, TransientUnit
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import PATIENCE, Site

CHECK_SECONDS = 60


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "timeout": {"type": "int"},
            "by": {"type": "str", "default": ""},
        },
    )
    app, paths = module.app, module.paths
    module.require_deployed()
    with module.reporting_activation(f"{paths['name']} was not reloaded and keeps serving"), app.lock():
        marker = module.begin("reload")
        marker.source = marker.target = app.live_pair()
        result = _reload(module, app, module.systemd, paths)
    module.exit_json(changed=True, **result)


def _reload(module, app, systemd, paths):
    state = app.state()
    if state.live is None:
        module.fail_json(msg=f"{paths['name']} is not live on this host: deploy it first")
    live = paths["slots"][state.live]
    service = state.units[live["service_unit"]]
    if not service.running or not service.main_pid:
        module.fail_json(msg=f"{live['service_unit']} is {service.active}: start it, or run site.yml, which does")

    old = serving(service)
    probe = app.probe_of(state.live_pair)
    # Switch to the other slot. SIGHUP cannot reload a single process, and does not restore a removed socket file.
    if not service.can_reload or app.runs_unreachable(state):
        restarted = restart(app, state, module.run_command)
        service_unit = paths["slots"][restarted["slot"]]["service_unit"]
        workers = [] if module.check_mode else sorted(serving(app.state().units[service_unit]))
        return {"release": state.live_pair.release, "replaced": sorted(old), "workers": workers, **restarted}

    site = Site(app, module.run_command, probe)
    _check(module, app, paths, live, state.live_pair)
    result = {"release": state.live_pair.release, "slot": state.live, "replaced": sorted(old), "workers": []}
    if module.check_mode:
        return {**result, "site": site.result(site.wait(PATIENCE))}

    began = time.time()
    systemd.reload(live["service_unit"])
    timeout = module.params["timeout"] or app.reload_seconds(state.live_pair)
    before = reload_number(service.status)

    def has_begun():
        return before is None or reload_number(systemd.show(service.name)[service.name].status) != before

    fault = wait_replaced(old, lambda: serving(service), timeout, has_begun)
    fault = fault or wait_healthy(live["socket"], probe)
    if fault:
        details = app.hide(f"{fault}\n{systemd.journal(live['service_unit'], began)}", state.live_pair)
        module.fail_json(msg=f"{live['service_unit']} was not reloaded: {details}".rstrip())
    processes = app.reload_processes(state.live)
    return {
        **result,
        "workers": sorted(serving(service)),
        "processes": processes,
        "site": site.result(site.wait(PATIENCE)),
    }


def _check(module, app, paths, live, pair):
    """Fail unless gunicorn can read its configuration and import the app, as the app's user, in the app's environment and sandbox."""
    release = release_paths(paths["name"], pair.release)
    config = os.path.join(paths["configs"], pair.config, "gunicorn.conf.py")
    command = [release["python"], "-m", "gunicorn", "--check-config", "--config", config]
    environment = {**without_withheld(app.environment(pair)), "ASGI_SLOT": live["name"]}
    # Use the settings of the live slot, because the inventory may have changed since its activation.
    settings = app.config_files(pair).get(SERVICE_FILE) or ""
    unit = TransientUnit(f"asgi-reload-{paths['name']}", paths["user"], transient(from_drop_in(settings, live["name"])))
    try:
        status, _out, output = unit.run(command, release["code"], environment, CHECK_SECONDS)
    except TimedOut:
        status, output = 1, f"its import took more than {CHECK_SECONDS} s"
    if status:
        output = app.hide(condense(output.strip(), first=0, last=15), pair)
        module.fail_json(
            msg=f"{live['service_unit']} was not reloaded: the configuration on disk does not boot\n{output}"
        )


if __name__ == "__main__":
    main()
