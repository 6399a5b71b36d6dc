#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Request the site of an app on this host as a client does, and report whether its live slot answers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: site_check
short_description: Check that the site of an app answers from its live slot
version_added: 1.0.0
description:
  - Sends requests through nginx as clients do, over TLS and for each name of the site, to this host's external address. Checks that the
    live slot answered them and that nginx serves the certificate that is on disk.
  - If a request does not reach the app, for instance because nginx requires a password or a client certificate, the module checks
    instead that the slot answers on its own socket and that nginx's workers may open that socket.
  - Does not fail if the site does not answer, but returns the causes. The playbooks fail in this case.
  - Sends no requests on a host without a site for the app.
options:
  expect:
    description:
      - The expected response for visitors.
      - V(maintenance) expects the maintenance page; the app does not have to run.
    type: str
    choices: [app, maintenance]
    default: app
  timeout:
    description: Seconds to keep retrying while the site does not answer.
    type: int
    default: 5
extends_documentation_fragment:
  - asgi.deploy.app
  - asgi.deploy.read_only
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Request the site as a client
  asgi.deploy.site_check:
    name: hello
  register: checked

- name: Fail if it does not answer
  ansible.builtin.assert:
    that: checked.site.verdict != 'failed'
    fail_msg: "{{ checked.site.causes }}"
"""

RETURN = r"""
site:
  description: The result of the check.
  type: dict
  returned: success
  contains:
    verdict:
      description: V(ok), V(failed), V(absent) if the host has no site for the app, or V(skipped) in check mode if the run would
        change the slot or site first.
      type: str
    causes:
      description: Why the site does not answer, each with a remedy.
      type: list
      elements: str
    notes:
      description: What the check could not verify because of nginx's configuration, and what it verified instead.
      type: list
      elements: str
    url:
      description: URL of the site; null if all of its names are wildcards.
      type: str
    maintenance:
      description: Whether the site is switched off for visitors.
      type: bool
    certificate:
      description: The C(kind) of the certificate (V(self-signed), V(provided) or V(acme)) and the C(days) that it is still valid.
      type: dict
release:
  description: Id of the live release; null if nothing is live.
  type: str
  returned: success
slot:
  description: The live slot.
  type: str
  returned: success
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import APP, MAINTENANCE
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import Site

# for an app that is not live, and thus has no stored health check
ANYTHING = Probe(path="/", host="localhost", statuses=(200,), successes=1, timeout=5, deadline=0)


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "expect": {"type": "str", "choices": [APP, MAINTENANCE], "default": APP},
            "timeout": {"type": "int", "default": 5},
        },
        read_only=True,
    )
    app = module.app
    with module.reporting(f"the site of {module.params['name']} cannot be checked: "):
        pair = app.live_pair()
        site = Site(app, module.run_command, app.probe_of(pair) if pair else ANYTHING, module.params["expect"])
        result = site.result(site.wait(module.params["timeout"]))
    module.exit_json(
        changed=False, site=result, release=pair.release if pair else None, slot=app.state().live if pair else None
    )


if __name__ == "__main__":
    main()
