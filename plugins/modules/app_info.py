#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on this host: every app, its slot, release, workers and certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_info
short_description: What runs on a host
version_added: 0.1.0
description: Tells of each app on the host which release is live in which slot, since when, with how many workers, what
  could be rolled back to, and how long its certificate is valid. Reads only.
options:
  name:
    description:
      - Name of the app to tell of.
      - By default all apps that this collection has deployed on the host.
    type: str
attributes:
  check_mode:
    description: Reads in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: See what runs
  asgi.deploy.app_info:
  register: found
"""

RETURN = r"""
apps:
  description: One entry for each app, by name.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the app.
      type: str
    slot:
      description: The live slot; null if nothing is live.
      type: str
    release:
      description: Id of the live release.
      type: str
    config:
      description: Digest of the live configuration.
      type: str
    state:
      description: What systemd says of the live service, for instance V(active).
      type: str
    since:
      description: When the live service was started.
      type: str
    workers:
      description: Number of worker processes.
      type: int
    plan:
      description: How many workers the live configuration has, and why; null if nothing is live.
      type: str
      sample: 5 = 4 CPUs + 1; memory would allow 30
    previous:
      description: Id of the release that a rollback would go to; null if there is none.
      type: str
    idle_state:
      description: What systemd says of the other slot's service.
      type: str
    python:
      description: Version of the live release's Python.
      type: str
    packages:
      description: Versions of the packages in the live release's venv.
      type: dict
    certificate_days:
      description: Days until the site's certificate expires; null if there is no site.
      type: int
    certificate:
      description: The site's certificate; null if there is no site.
      type: dict
      contains:
        days:
          description: Days until it expires.
          type: int
        names:
          description: The names it is for.
          type: list
          elements: str
        fingerprint:
          description: SHA-256 of it.
          type: str
        shared:
          description: Whether other hosts could have the same one. One that signs itself is made on each host.
          type: bool
"""

import glob
import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.capacity import live_plan
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import is_name, layout, release_paths
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import NoSuchRelease, rollback_target
from ansible_collections.asgi.deploy.plugins.module_utils.site_certificate import certificate_path, read_certificate
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App, other
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.asgi.deploy.plugins.module_utils.workers import serving


def main():
    module = AnsibleModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    names = [module.params["name"]] if module.params["name"] else _names()
    try:
        module.exit_json(changed=False, apps=[_describe(module, layout(name)) for name in names])
    except (ValueError, SystemdError) as exc:
        module.fail_json(msg=str(exc))


def _names():
    """Return the apps on this host: those that have slots."""
    return sorted(name for name in (path.split("/")[2] for path in glob.glob("/srv/*/slots")) if is_name(name))


def _describe(module, paths):
    app = App(paths, Systemd(module.run_command), dry=True)
    state = app.state()
    its = paths["slots"][state.live] if state.live else None
    service = state.units[its["service_unit"]] if its else None
    idle = state.units[paths["slots"][other(state.live)]["service_unit"]]
    pair = state.live_pair
    certificate = read_certificate(module.run_command, certificate_path(read_text(paths["nginx_site"])), time.time())
    manifest = json.loads(read_text(release_paths(paths["name"], pair.release)["manifest"]) or "{}") if pair else {}
    return {
        "name": paths["name"],
        "slot": state.live,
        "release": pair.release if pair else None,
        "config": pair.config if pair else None,
        "state": service.active if service else "not deployed",
        "since": service.since if service else "",
        "workers": len(serving(service)) if service else 0,
        "plan": live_plan(paths["name"])["reason"],
        "previous": _previous(app, pair),
        "idle_state": idle.active,
        "python": manifest.get("python"),
        "packages": manifest.get("packages", {}),
        "certificate_days": certificate["days"] if certificate else None,
        "certificate": certificate,
    }


def _previous(app, pair):
    try:
        return rollback_target(app.log(), pair, app.on_disk).release
    except NoSuchRelease:
        return None


if __name__ == "__main__":
    main()
