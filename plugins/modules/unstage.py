#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the releases of an app, and optionally its data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unstage
short_description: Remove the releases of an app, and optionally its data
version_added: 1.0.0
description:
  - Removes the caches, the files of M(asgi.deploy.release) in the home of an app that M(asgi.deploy.deactivate) has stopped, and the
    home itself unless it contains other files.
  - Only root can access data that is kept, because another account may get the uid of the removed account. When the app is
    installed again, its account gets access again.
  - Fails while another task changes the app or builds a release of it, and if the account with the app's name does not belong to
    the app.
  - Can be run again after an interruption. Does nothing if the app is not on the host.
options:
  data:
    description: Whether to also remove the app's data, C(/srv/<name>/shared).
    type: bool
    default: false
extends_documentation_fragment:
  - asgi.deploy.app
attributes:
  check_mode:
    description: Returns the paths that would be removed.
    support: full
  diff_mode:
    description: Shows the files and directories to remove.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Remove the releases of an app and keep its data
  asgi.deploy.unstage:
    name: hello
"""

RETURN = r"""
present:
  description: Whether the host had the app or parts of it before.
  type: bool
  returned: success
removed:
  description: The files and directories that were removed, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: [/srv/hello/releases, /srv/hello/staged]
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.removal import (
    is_present,
    refuse_while_changed,
    unstage,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout


def main():
    module = HostModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "data": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    removed = []
    with module.reporting():
        paths = layout(module.params["name"])
        present = is_present(paths)
        if present:
            refuse_while_changed(paths)
            removed = unstage(paths, module.params["data"], dry=module.check_mode)
    diff = {"before": "".join(f"{path}\n" for path in removed), "after": ""}
    module.exit_json(changed=bool(removed), removed=removed, present=present, diff=diff)


if __name__ == "__main__":
    main()
