#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the maintenance page of an app on or off."""

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_page
short_description: Turn the maintenance page of an app on or off
version_added: 1.0.0
description:
  - Visitors of the site get the page with status 503 as long as its file exists. nginx is not reloaded.
  - The playbook C(asgi.deploy.maintenance_page) uses this module.
options:
  state:
    description: Whether the page exists.
    type: str
    choices: [present, absent]
    required: true
  content:
    description: The HTML of the page, required with O(state=present).
    type: str
  by:
    description: Name of the person who changes the page, recorded in the deploy marker.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Reports the change without making it.
    support: full
  diff_mode:
    description: Shows the page before and after.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Start maintenance
  asgi.deploy.maintenance_page:
    name: hello
    state: present
    content: <h1>Back at noon</h1>
"""

RETURN = r"""
marker:
  description: The deploy marker, in the format of M(asgi.deploy.activate).
  type: dict
  returned: if the page was changed, or its change failed
"""

import os

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import is_ours, read_text, remove, replace_file

MODE = 0o644
DIRECTORY_MODE = 0o755


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "required": True},
            "content": {"type": "str"},
            "by": {"type": "str", "default": ""},
        },
        required_if=[("state", "present", ["content"])],
    )
    page, site = module.paths["maintenance_page"], module.paths["nginx_site"]
    text = module.params["content"] if module.params["state"] == "present" else None
    with module.reporting():
        if page not in (read_text(site, errors="replace") or ""):
            module.fail_json(
                msg=f"{site} does not exist, or was written by an older version without support for the maintenance page; nothing has "
                "been changed -> run asgi.deploy.site first"
            )
        marker = module.begin("maintenance")
        marker.source = marker.target = module.app.live_pair()
        marker.reason = "off" if text is None else "on"
        before = read_text(page, errors="replace")
        changed = os.path.lexists(page) if text is None else not (before == text and _is_served(page))
        marker.made = changed
        if changed and not module.check_mode:
            remove(page) if text is None else _write(page, text)
    diff = {"before_header": page, "after_header": page, "before": before or "", "after": text or ""}
    module.exit_json(changed=changed, diff=diff)


def _is_served(page):
    """Return whether nginx can read the page."""
    return is_ours(page, MODE) and os.stat(os.path.dirname(page)).st_mode & 0o7777 == DIRECTORY_MODE


def _write(page, text):
    directory = os.path.dirname(page)
    # An app that shares the name of another app's site has no certificate, and therefore no directory yet.
    os.makedirs(directory, mode=DIRECTORY_MODE, exist_ok=True)
    os.chmod(directory, DIRECTORY_MODE)
    replace_file(page, text, MODE)


if __name__ == "__main__":
    main()
