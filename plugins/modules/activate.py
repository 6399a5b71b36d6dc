#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Activate the staged release with its configuration in the idle slot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activate
short_description: Make a staged release live without losing a request
version_added: 1.0.0
description:
  - Boots the release with its configuration in the idle slot of the app, waits until its workers serve and its health check
    succeeds over the slot's own socket, and switches the proxy's traffic to the release by renaming one symlink. The previous
    slot is drained and stopped.
  - Does not touch the live slot before that rename. If the release does not boot or is not healthy, the module stops it, marks it
    as bad in the release log, and fails with the slot's journal in the message.
  - If the release is already live with the same configuration, the module only repairs the slots, for instance after a slot was
    stopped by hand or a run was interrupted.
options:
  release:
    description:
      - Id of the release to activate.
      - The default is the release that the C(asgi_app) role staged last. In check mode, the role stages nothing, so the default is
        the release that an earlier run staged.
    type: str
  files:
    description:
      - Contents of the configuration files by name, including V(gunicorn.conf.py), V(service.conf) (the systemd settings of the
        slot) and V(service.unit).
      - V(service.unit) is also installed in C(/etc/systemd/system) as the service of both slots.
      - V(processes.json) and C(process.NAME.service) describe the processes and timers of the app. They start after the switch; if one
        does not become ready, the traffic is switched back.
    type: dict
    required: true
  socket:
    description: Content of the socket unit of both slots, which is installed in C(/etc/systemd/system).
    type: str
    required: true
  environment:
    description: Environment variables of the app, as a dictionary. They are stored in a file that only root and the app
      can read, and never printed.
    type: json
  process_environments:
    description: Environment variables of single processes and timers beyond O(environment), as a dictionary of dictionaries. They are
      stored in the same way.
    type: json
  until:
    description:
      - The last step of the activation.
      - V(booted) leaves the healthy release in the idle slot, without traffic. A later call with V(live) continues from there.
    type: str
    choices: [booted, live]
    default: live
  verify:
    description: Whether to switch the traffic back to the previous slot if the site answered before the switch and does not
      answer after it. The site is checked through nginx, as by M(asgi.deploy.site_check).
    type: bool
    default: true
  lock_timeout:
    description: Seconds to wait while another process changes this app. With V(0), fail at once.
    type: int
    default: 0
  by:
    description: Name of the person who deploys, recorded in the release log and the lock.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.app
  - asgi.deploy.probe
attributes:
  check_mode:
    description: Reports the activation or repair without changes.
    support: full
  diff_mode:
    description: Shows the units, the release and the configuration before and after. Environment values are hidden.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Activate the staged release
  asgi.deploy.activate:
    name: hello
    files:
      gunicorn.conf.py: "{{ lookup('ansible.builtin.template', 'gunicorn.conf.py.j2') }}"
      service.conf: "{{ lookup('ansible.builtin.template', 'service.conf.j2') }}"
      service.unit: "{{ lookup('ansible.builtin.template', 'hello@.service.j2') }}"
    socket: "{{ lookup('ansible.builtin.template', 'hello@.socket.j2') }}"
    environment: "{{ asgi_env }}"
    probe:
      path: /health
      host: hello.example.org
      statuses: [200]
      successes: 1
      timeout: 5
      deadline: 30
"""

RETURN = r"""
release:
  description: Id of the release in RV(slot).
  type: str
  returned: success
config:
  description: Digest of the configuration in RV(slot).
  type: str
  returned: success
slot:
  description: The slot of the activated release, which is the live slot unless O(until=booted).
  type: str
  returned: success
  sample: green
activated:
  description: Whether another release or configuration was activated, or would be in check mode.
  type: bool
  returned: success
socket:
  description: Path of the socket of RV(slot).
  type: str
  returned: success
previous:
  description: Id of the previously live release; null if there was none.
  type: str
  returned: success
site:
  description: Whether the site answers from the live slot, in the format of M(asgi.deploy.site_check).
  type: dict
  returned: success
changes:
  description: The changes, or in check mode the changes that would be made, one sentence each.
  type: list
  elements: str
  returned: success
marker:
  description: The deploy marker, which is also an entry of the host's journal, with the keys of the example.
  type: dict
  returned: if the app was changed, or a change of it failed
  sample:
    what: deploy
    app: hello
    host: web1
    by: anna
    at: "2026-12-01T08:00:00Z"
    duration_seconds: 4.2
    from: src-4f0c1d2a9b
    from_config: 0d5f2c6b1a39
    to: src-9c41e07d52
    to_config: 7e1f0a9b3c52
    result: succeeded
    reason: null
"""

import grp
import json

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_home import AppHome
from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import ENV_FILE, PROBE_FILE, SERVICE_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import PROBE_OPTIONS, Probe
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_files import file_of
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_state import new_advice
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.sandbox import denied_name_servers, from_drop_in
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import BOOTED, LIVE, UNIT_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import PLAN_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import (
    app_environment,
    check_environment,
    render_environment,
    server_warnings,
    without_withheld,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import SLOTS
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import Site

RESOLV_CONF = "/etc/resolv.conf"


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str"},
            "files": {"type": "dict", "required": True},
            "socket": {"type": "str", "required": True},
            # no default, because Ansible would mask the default wherever it occurs in the output
            "environment": {"type": "json", "no_log": True},
            "process_environments": {"type": "json", "no_log": True},
            "probe": {"type": "dict", "required": True, "options": PROBE_OPTIONS},
            "until": {"type": "str", "choices": [BOOTED, LIVE], "default": LIVE},
            "verify": {"type": "bool", "default": True},
            "lock_timeout": {"type": "int", "default": 0},
            "by": {"type": "str", "default": ""},
        },
    )
    app, paths = module.app, module.paths
    with module.reporting():
        given = check_environment(json.loads(module.params["environment"] or "{}"))
        environment = app_environment(paths, given)
        environments = {
            name: without_withheld(check_environment(variables))
            for name, variables in json.loads(module.params["process_environments"] or "{}").items()
        }

    units = {"service": module.params["files"].get(UNIT_FILE), "socket": module.params["socket"]}
    if units["service"] is None:
        module.fail_json(msg=f"files: {UNIT_FILE} is missing")
    settings = module.params["files"].get(SERVICE_FILE) or ""
    for warning in server_warnings("asgi_env", given):
        module.warn(warning)
    denied = denied_name_servers(from_drop_in(settings, SLOTS[0]), read_text(RESOLV_CONF, errors="replace") or "")
    if denied:
        module.fail_json(
            msg=f"asgi_server_cloud_metadata is false, which blocks {' and '.join(denied)}, a name server of this host "
            f"({RESOLV_CONF}), so the app cannot resolve names -> set it to true, or use systemd-resolved"
        )
    release = module.params["release"] or app.staged()
    if release is None and module.check_mode:
        with module.reporting():
            diff = app.install_units(units)
        module.exit_json(changed=True, changes=[*app.changes, "activate the first release"], diff=diff)
    if release is None:
        module.fail_json(msg=f"no release of {paths['name']} has been staged on this host: run the asgi_app role first")

    files = dict(module.params["files"])
    files[ENV_FILE] = render_environment(environment)
    files.update({file_of(name, kind="env"): render_environment(extra) for name, extra in environments.items()})
    files[PROBE_FILE] = json.dumps(module.params["probe"], sort_keys=True, indent=1) + "\n"
    probe = Probe.from_dict(module.params["probe"])
    with (
        module.reporting_activation(f"release {release} was not activated", report_serving=True, release=release),
        app.lock(module.params["lock_timeout"], why=f"activates {release}"),
    ):
        marker = module.begin("deploy")
        marker.source, marker.target = app.live_pair(), Pair(release, "")
        diff = app.install_units(units)
        before = app.state()
        served_before = (before.live_pair and before.live_pair.release, _workers(app.config_files(before.live_pair)))
        marker.target = target = Pair(release, app.store_config(files, gid=_gid(paths["group"], module)))
        diff.append(app.difference(before.live_pair, target, files, environment))
        site = Site(app, module.run_command, probe)
        slot, answers = site.across(
            lambda verify: app.activate(target, before, probe, module.params["until"], verify),
            module.params["verify"],
        )
        if not app.activates:
            marker.what, marker.reason = "repair", "; ".join(app.changes)
        marker.made = bool(app.changes) and module.params["until"] == LIVE
    packages = AppHome(paths["name"]).manifest(release).get("packages", ())
    advice = new_advice(packages, (target.release, _workers(files)), served_before)
    if advice and app.activates:
        module.warn(advice)
    module.exit_json(
        changed=bool(app.changes),
        changes=app.changes,
        release=target.release,
        config=target.config,
        slot=slot,
        socket=paths["slots"][slot]["socket"],
        activated=app.activates,
        previous=before.live_pair.release if before.live_pair else None,
        site=site.result(answers),
        diff=diff,
    )


def _workers(files):
    """Return the number of workers in the files of a configuration."""
    return json.loads(files.get(PLAN_FILE) or "{}").get("workers")


def _gid(group, module):
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if module.check_mode:
            return -1
        module.fail_json(msg=f"there is no group {group!r} on this host: run the asgi_app role first")


if __name__ == "__main__":
    main()
