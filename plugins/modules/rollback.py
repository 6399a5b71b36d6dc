#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Activate an earlier release with its configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Activate an earlier release and its configuration
version_added: 1.0.0
description:
  - Activates the release that was live before the current one, with its configuration from the release log, in the same way as
    M(asgi.deploy.activate). Nothing is built.
  - Switches the traffic back if the site answered before the rollback and does not answer from the earlier release.
  - Never activates a release whose last activation failed, unless O(allow_bad=true).
  - Changes nothing if O(release) is already live, or if O(release) is unset and the last activation was a rollback. An interrupted
    run on many hosts can therefore be repeated. To go back further, set O(release).
options:
  release:
    description:
      - Id of the release to activate.
      - The default is the release that was live before the current one.
    type: str
  config:
    description:
      - Digest of a configuration with which O(release) has run.
      - The default is the configuration with which the release ran last.
    type: str
  allow_bad:
    description: Whether to allow a release whose last activation failed.
    type: bool
    default: false
  marker:
    description: Name of the change in the deploy marker. V(restore) marks a rollback after a failed deploy.
    type: str
    choices: [rollback, restore]
    default: rollback
  by:
    description: Name of the person who rolls back, recorded in the release log.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Reports the release that would be activated.
    support: full
  diff_mode:
    description: Shows the release and the configuration before and after.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Activate the previous release
  asgi.deploy.rollback:
    name: hello

- name: Activate a specific earlier release
  asgi.deploy.rollback:
    name: hello
    release: src-1f6a0c2b9d
"""

RETURN = r"""
release:
  description: Id of the live release.
  type: str
  returned: success
config:
  description: Digest of the live configuration.
  type: str
  returned: success
slot:
  description: The live slot.
  type: str
  returned: success
previous:
  description: Id of the previously live release.
  type: str
  returned: success
previous_config:
  description: Digest of the previously live configuration.
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
  description: The deploy marker, in the format of M(asgi.deploy.activate).
  type: dict
  returned: if the app was changed, or a change of it failed
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair, is_rolled_back, rollback_target
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import Site


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str"},
            "config": {"type": "str"},
            "allow_bad": {"type": "bool", "default": False},
            "marker": {"type": "str", "choices": ["rollback", "restore"], "default": "rollback"},
            "by": {"type": "str", "default": ""},
        },
        required_by={"config": ["release"]},
    )
    release, config = module.params["release"], module.params["config"]
    app, paths = module.app, module.paths
    module.require_deployed()
    with module.reporting(), app.lock():
        marker = module.begin(module.params["marker"])
        marker.source, marker.target = app.live_pair(), release and Pair(release, config or "")
        before = app.state()
        if before.live is None:
            module.fail_json(msg=f"{paths['name']} is not live on this host: there is nothing to roll back")
        log = app.log()
        if is_rolled_back(log, before.live_pair, release, config):
            target = before.live_pair
        else:
            target = rollback_target(log, before.live_pair, app.on_disk, release, module.params["allow_bad"], config)
        marker.target = target
        diff = app.difference(before.live_pair, target, app.config_files(target), app.environment(target))
        probe = app.probe_of(target)
        site = Site(app, module.run_command, probe)
        with module.reporting_activation(f"release {target.release} was not activated", report_serving=True):
            slot, answers = site.across(
                lambda verify: app.activate(target, before, probe, verify=verify, rollback=True)
            )
        if not app.activates:
            marker.what, marker.reason = "repair", "; ".join(app.changes)
        marker.made = bool(app.changes)
    module.exit_json(
        changed=bool(app.changes),
        changes=app.changes,
        release=target.release,
        config=target.config,
        slot=slot,
        previous=before.live_pair.release,
        previous_config=before.live_pair.config,
        site=site.result(answers),
        diff=diff,
    )


if __name__ == "__main__":
    main()
