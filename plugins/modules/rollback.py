#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go back to a release that was live before, with the configuration it ran with."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Go back to an earlier release and its configuration
version_added: 0.1.0
description:
  - Finds in the release log what was live before, and activates it as M(asgi.deploy.activate) does, configuration
    included. Nothing is built.
  - Never goes to a release whose last activation failed, unless O(allow_bad) says so.
  - Where the named release is live already, or without a name a rollback was the last thing that happened, nothing changes;
    so a run over many hosts that stopped half-way can be repeated. To go back further, name the release.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  release:
    description:
      - Id of the release to go back to.
      - By default the one that was live before the present one.
    type: str
  config:
    description:
      - Digest of the configuration to go back to, of those that O(release) ran with.
      - By default the one that it ran with last.
    type: str
  allow_bad:
    description: Whether a release whose last activation failed may be tried again.
    type: bool
    default: false
  by:
    description: Who rolls back, for the release log.
    type: str
    default: ""
attributes:
  check_mode:
    description: Reports where it would go.
    support: full
  diff_mode:
    description: Shows the release and the configuration before and after.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Go back to what was live before
  asgi.deploy.rollback:
    name: hello

- name: Go back to a named release
  asgi.deploy.rollback:
    name: hello
    release: src-1f6a0c2b9d
"""

RETURN = r"""
release:
  description: Id of the release that is live now.
  type: str
  returned: success
config:
  description: Digest of its configuration.
  type: str
  returned: success
slot:
  description: The live slot.
  type: str
  returned: success
previous:
  description: Id of the release that was live before.
  type: str
  returned: success
previous_config:
  description: Digest of the configuration that it ran with.
  type: str
  returned: success
changes:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import (
    NoSuchRelease,
    is_rolled_back,
    rollback_target,
)
from ansible_collections.asgi.deploy.plugins.module_utils.slots import ActivationError, App, Locked
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str"},
            "config": {"type": "str"},
            "allow_bad": {"type": "bool", "default": False},
            "by": {"type": "str", "default": ""},
        },
        required_by={"config": ["release"]},
        supports_check_mode=True,
    )
    release, config = module.params["release"], module.params["config"]
    try:
        paths = layout(module.params["name"])
    except ValueError as exc:
        module.fail_json(msg=str(exc))

    app = App(paths, Systemd(module.run_command), dry=module.check_mode, by=module.params["by"])
    try:
        with app.lock():
            before = app.state()
            if before.live is None:
                module.fail_json(msg=f"{paths['name']} is not live on this host: there is nothing to roll back")
            log = app.log()
            if is_rolled_back(log, before.live_pair, release, config):
                target = before.live_pair
            else:
                target = rollback_target(
                    log, before.live_pair, app.on_disk, release, module.params["allow_bad"], config
                )
            diff = app.difference(before.live_pair, target, app.config_files(target), app.environment(target))
            slot = app.activate(target, before, app.probe_of(target), rollback=True)
    except (Locked, NoSuchRelease) as exc:
        module.fail_json(msg=str(exc))
    except FileNotFoundError as exc:
        module.fail_json(msg=f"{paths['name']} has never been deployed on this host: {exc}")
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}")
    except ActivationError as exc:
        serving = app.serving()
        module.fail_json(
            msg=f"release {target.release} was not activated: {exc}\n{serving}\n{exc.journal}".rstrip(), serving=serving
        )
    module.exit_json(
        changed=bool(app.changes),
        changes=app.changes,
        release=target.release,
        config=target.config,
        slot=slot,
        previous=before.live_pair.release,
        previous_config=before.live_pair.config,
        diff=diff,
    )


if __name__ == "__main__":
    main()
