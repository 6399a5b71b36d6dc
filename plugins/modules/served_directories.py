#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let nginx read directories below the shared directory of an app."""

from __future__ import annotations

DOCUMENTATION = r"""
module: served_directories
short_description: Let nginx read directories below the shared directory of an app
version_added: 1.0.0
description:
  - Gives nginx's account C(www-data) read access to directories below C(/srv/<name>/shared), and to all files that the app has
    written or will write there. No other account gets access, and C(www-data) gets none to the rest of the shared directory.
  - Uses POSIX access control lists, which cp, rsync and tar copy only with an option (C(--preserve=all), C(-A), C(--acls)). Owner, group and
    mode of the directories do not change. The module needs no package, but a file system with POSIX ACLs.
  - Creates missing directories, which then belong to the app.
  - Withdraws the access to directories that are no longer listed.
options:
  directories:
    description:
      - Directories relative to C(/srv/<name>/shared), such as V(media). No part of the path may be a symlink.
      - An empty list withdraws the access to all of them.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode, even if the app is not on the host yet.
    support: full
  diff_mode:
    description: The module changes no content.
    support: none
extends_documentation_fragment:
  - asgi.deploy.app
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Let nginx read the uploads
  asgi.deploy.served_directories:
    name: shop
    directories: [media]
"""

RETURN = r"""
paths:
  description: The directories that were created, or whose access list was changed.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.asgi.deploy.plugins.module_utils._app.served_directories import ServedDirectories
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout


def main():
    module = HostModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "directories": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    with module.reporting():
        paths = layout(module.params["name"])
        changed = ServedDirectories(paths, module.params["directories"], dry=module.check_mode).apply()
    module.exit_json(changed=bool(changed), paths=sorted(set(changed)))


if __name__ == "__main__":
    main()
