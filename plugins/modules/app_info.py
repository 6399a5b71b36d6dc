#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return the apps on this host: slot, release, workers and certificate of each."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_info
short_description: Return information about the apps on a host
version_added: 1.0.0
description: Returns for each app the live slot and release, the start time, the number of workers, the target of a rollback,
  and the validity of the certificate. Changes nothing.
options:
  name:
    description:
      - Name of the app.
      - By default, all apps that this collection has deployed on the host.
    type: str
  sbom:
    description: Whether to return the software bill of materials of each live release.
    type: bool
    default: false
  releases:
    description: Whether to return the release log of each app.
    type: bool
    default: false
extends_documentation_fragment:
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Return all apps
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
      description: The live slot; null if no release is live.
      type: str
    release:
      description: Id of the live release.
      type: str
    config:
      description: Digest of the live configuration.
      type: str
    common_config:
      description: Digest of the live configuration without its processes and timers, which may differ between hosts.
      type: str
    state:
      description: State of the live service in systemd, for instance V(active).
      type: str
    since:
      description: Start time of the live service.
      type: str
    workers:
      description: Number of worker processes.
      type: int
    connections:
      description: Connections of nginx's busiest worker, and their limit.
      type: dict
      contains:
        used:
          description: Open connections, including those to the apps.
          type: int
        limit:
          description: Value of C(worker_connections).
          type: int
    plan:
      description: Number of workers in the live configuration, and the reason; null if no release is live.
      type: str
      sample: 5 = 4 CPUs + 1; memory would allow 30
    previous:
      description: Id of the release that a rollback would activate; null if there is none.
      type: str
    log_fault:
      description: The defect of the release log and the remedy; null if the log is readable.
      type: str
    processes:
      description: The instances of the processes and the timers of the live release; empty if there are none.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the process or timer.
          type: str
        kind:
          description: V(process) or V(timer).
          type: str
        unit:
          description: The systemd unit.
          type: str
        state:
          description: State of the unit in systemd, for instance V(active).
          type: str
        since:
          description: Time at which the unit became active.
          type: str
        restarts:
          description: How often systemd has restarted a process by itself since its activation.
          type: int
        loops:
          description: Whether a process restarts in a loop.
          type: bool
        result:
          description: Result of the process or of the timer's last run, V(success) or the reason for the failure, for instance V(timeout).
          type: str
        last_success:
          description: Time of a timer's last successful run, UTC; null if there is none.
          type: str
    idle_state:
      description: State of the other slot's service in systemd.
      type: str
    python:
      description: Version of the live release's Python.
      type: str
    packages:
      description: Versions of the packages in the live release's venv.
      type: dict
    sbom:
      description: The software bill of materials of the live release, CycloneDX 1.6 in JSON, from C(sbom.cdx.json) in the
        directory of the release. Null if no release is live, or if an earlier version of this collection built the release.
      type: str
      returned: if O(sbom) is true
    releases:
      description: The activations of releases, the newest first.
      type: list
      elements: dict
      returned: if O(releases) is true
      contains:
        release:
          description: Id of the release.
          type: str
        config:
          description: Digest of the configuration.
          type: str
        slot:
          description: The slot of the activation.
          type: str
        at:
          description: Time of the activation, in UTC.
          type: str
        by:
          description: Name of the person who activated the release.
          type: str
        result:
          description: V(live), V(retired), or V(bad) if the activation failed.
          type: str
        reason:
          description: Why the activation failed.
          type: str
        rollback:
          description: Whether a rollback activated the release.
          type: bool
        withdrawn:
          description: Whether a rollback replaced the release.
          type: bool
        rollback_target:
          description: V(default) if a rollback activates the release by default, V(release) if the rollback must name it, V(allow-bad)
            if the rollback must also allow a release that has failed, and null if a rollback cannot activate it.
          type: str
    certificate_days:
      description: Days until the site's certificate expires; null if there is no site.
      type: int
    certificate:
      description: The site's certificate; null if there is no site.
      type: dict
      contains:
        days:
          description: Days until the certificate expires.
          type: int
        names:
          description: DNS names of the certificate.
          type: list
          elements: str
        fingerprint:
          description: SHA-256 fingerprint.
          type: str
        shared:
          description: Whether other hosts may have the same certificate. False for a self-signed certificate, which each host creates.
          type: bool
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._command.app_status import describe, releases
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout, names_with, release_paths
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd


def main():
    module = HostModule(
        argument_spec={
            "name": {"type": "str"},
            "sbom": {"type": "bool", "default": False},
            "releases": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    names = [module.params["name"]] if module.params["name"] else _names()
    with module.reporting():
        apps = [_describe(module, layout(name)) for name in names]
    module.exit_json(changed=False, apps=apps)


def _names():
    """Return the names of the apps on this host that have a directory of slots."""
    return names_with("slots")


def _describe(module, paths):
    app = App(paths, Systemd(module.run_command), dry=True)
    found = describe(app, module.run_command)
    if module.params["sbom"]:
        found["sbom"] = _bill(module, paths["name"], found["release"])
    if module.params["releases"]:
        found["releases"] = releases(app)
        if found["log_fault"]:
            module.warn(f"{paths['name']}: the list of its releases is missing: {found['log_fault']}")
    return found


def _bill(module, name, release):
    """Return the software bill of materials of the live *release*; null if an earlier version of this collection built the release."""
    text = read_text(release_paths(name, release)["sbom"], errors="replace") if release else None
    if release and text is None:
        module.warn(
            f"{name}: release {release} has no software bill of materials, because an earlier version of asgi.deploy built "
            "it; the next release will have one"
        )
    return text


if __name__ == "__main__":
    main()
