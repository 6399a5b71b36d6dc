#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the staged release live, with a configuration, by way of the idle slot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activate
short_description: Make a staged release live without losing a request
version_added: 0.1.0
description:
  - Boots the release together with its configuration in the idle one of the two slots of an app, waits until its
    workers serve, asks its health endpoint over the slot's own socket, and then lets the proxy's traffic go there by
    renaming one symlink. The slot that was live drains and is stopped.
  - Until that rename nothing that serves is touched. A release that does not boot or is not healthy is stopped and
    noted as bad, and the module fails with what it said.
  - The same release with the same configuration changes nothing, apart from repairing what is amiss, for instance a
    slot that was stopped by hand or what an interrupted run left behind.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  release:
    description:
      - Id of the release to activate.
      - By default the one that the C(asgi_app) role staged last; in check mode that is the one before.
    type: str
  files:
    description:
      - Texts of the configuration files by name, with V(gunicorn.conf.py), V(service.conf) (systemd settings of this
        slot) and V(service.unit) among them.
      - V(service.unit) is the service of both slots as well, in C(/etc/systemd/system).
    type: dict
    required: true
  socket:
    description: Text of the socket of both slots, in C(/etc/systemd/system).
    type: str
    required: true
    version_added: 0.2.0
  environment:
    description: Environment variables of the app, as a dictionary. They are written to a file that only root and the app
      can read, and never shown.
    type: json
  until:
    description:
      - How far to go.
      - V(booted) leaves the release healthy in the idle slot, without traffic; a later V(live) goes on from there.
    type: str
    choices: [booted, live]
    default: live
  verify:
    description:
      - Where the proxy on this host serves the app. After the rename it is asked there, too; if it is not healthy, the
        traffic goes back to the slot that had it.
      - Left out as long as the host has no site for the app.
    type: dict
    suboptions:
      host:
        description: Server name of the site.
        type: str
        required: true
      port:
        description: HTTPS port of the site.
        type: int
        required: true
  lock_timeout:
    description: Seconds to wait when somebody else changes this app. With V(0), fail at once.
    type: int
    default: 0
  by:
    description: Who deploys, for the release log and for others who find the app locked.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.probe
attributes:
  check_mode:
    description: Reports what would be activated or repaired; touches nothing.
    support: full
  diff_mode:
    description: Shows the units, the release and the configuration before and after, environment values hidden.
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
  description: Id of the release that is live now.
  type: str
  returned: success
config:
  description: Digest of the configuration that is live now.
  type: str
  returned: success
slot:
  description: The live slot.
  type: str
  returned: success
  sample: green
activated:
  description: Whether another release or configuration was brought up, or would be in check mode.
  type: bool
  returned: success
socket:
  description: The socket of the slot that the release runs in.
  type: str
  returned: success
previous:
  description: Id of the release that was live before; null if there was none.
  type: str
  returned: success
changes:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import grp
import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.environment import (
    app_environment,
    check_environment,
    render_environment,
)
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.nginx_site import serves, speaks_proxy_protocol
from ansible_collections.asgi.deploy.plugins.module_utils.probe import PROBE_OPTIONS, Probe, ask_proxy, wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import Pair
from ansible_collections.asgi.deploy.plugins.module_utils.slots import (
    BOOTED,
    ENV_FILE,
    LIVE,
    PROBE_FILE,
    UNIT_FILE,
    ActivationError,
    App,
    Locked,
)
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str"},
            "files": {"type": "dict", "required": True},
            "socket": {"type": "str", "required": True},
            # without a default, which would be a secret itself, and masked wherever it occurs
            "environment": {"type": "json", "no_log": True},
            "probe": {"type": "dict", "required": True, "options": PROBE_OPTIONS},
            "until": {"type": "str", "choices": [BOOTED, LIVE], "default": LIVE},
            "verify": {
                "type": "dict",
                "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}},
            },
            "lock_timeout": {"type": "int", "default": 0},
            "by": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        paths = layout(module.params["name"])
        environment = app_environment(paths, check_environment(json.loads(module.params["environment"] or "{}")))
    except ValueError as exc:
        module.fail_json(msg=str(exc))

    app = App(paths, Systemd(module.run_command), dry=module.check_mode, by=module.params["by"])
    units = {"service": module.params["files"].get(UNIT_FILE), "socket": module.params["socket"]}
    if units["service"] is None:
        module.fail_json(msg=f"files: {UNIT_FILE} is missing")
    release = module.params["release"] or app.staged()
    if release is None and module.check_mode:
        diff = app.install_units(units)
        module.exit_json(changed=True, changes=[*app.changes, "activate the first release"], diff=diff)
    if release is None:
        module.fail_json(msg=f"no release of {paths['name']} has been staged on this host: run the asgi_app role first")

    files = dict(module.params["files"])
    files[ENV_FILE] = render_environment(environment)
    files[PROBE_FILE] = json.dumps(module.params["probe"], sort_keys=True, indent=1) + "\n"
    probe = Probe.from_dict(module.params["probe"])
    try:
        with app.lock(module.params["lock_timeout"], why=f"activates {release}"):
            diff = app.install_units(units)
            before = app.state()
            target = Pair(release, app.store_config(files, gid=_gid(paths["group"], module)))
            diff.append(app.difference(before.live_pair, target, files, environment))
            slot = app.activate(target, before, probe, module.params["until"], _verification(module, paths, probe))
    except Locked as exc:
        module.fail_json(msg=str(exc))
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}")
    except ActivationError as exc:
        serving = app.serving()
        module.fail_json(
            msg=f"release {release} was not activated: {exc}\n{serving}\n{exc.journal}".rstrip(),
            release=release,
            serving=serving,
        )
    module.exit_json(
        changed=bool(app.changes),
        changes=app.changes,
        release=target.release,
        config=target.config,
        slot=slot,
        socket=paths["slots"][slot]["socket"],
        activated=app.activates,
        previous=before.live_pair.release if before.live_pair else None,
        diff=diff,
    )


def _gid(group, module):
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if module.check_mode:
            return -1
        module.fail_json(msg=f"there is no group {group!r} on this host: run the asgi_app role first")


def _verification(module, paths, probe):
    """Return what is asked after the flip: the live socket as nginx finds it, then nginx."""
    site = module.params["verify"]

    def verify():
        fault = wait_healthy(paths["live_socket"], probe)
        # as the site is now: what the inventory says of it may come about only when asgi_proxy has its turn
        content = read_text(paths["nginx_site"]) or ""
        if not fault and site and serves(content, site["host"], site["port"]):
            proxy_protocol = speaks_proxy_protocol(content, site["port"])
            fault = wait_healthy(
                f"https://{site['host']}:{site['port']}",
                probe,
                ask=lambda _url, probe: ask_proxy(site["host"], site["port"], probe, proxy_protocol),
            )
        return fault

    return verify


if __name__ == "__main__":
    main()
