#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the releases of an app, and its data if that is wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unstage
short_description: Remove the releases of an app, and its data if that is wanted
version_added: 0.1.0
description:
  - Removes what M(asgi.deploy.release) has put below the home of an app that M(asgi.deploy.deactivate) has stopped, and the
    home itself if nothing of somebody else's is in it.
  - Data that stays is closed to everybody but root, because the number of an account that is removed is given to another
    one. Installing the app again gives it back.
  - Refuses while somebody changes the app or builds a release of it, and if the account of that name is not the app's.
  - What interrupts it is made good by running it again. Does nothing for an app that is not on the host.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  data:
    description: Whether the app's data, C(/srv/<name>/shared), is removed as well.
    type: bool
    default: false
attributes:
  check_mode:
    description: Refuses what it would refuse, and tells what it would remove.
    support: full
  diff_mode:
    description: Shows which files and directories are removed.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Remove the releases of an app and leave its data
  asgi.deploy.unstage:
    name: hello
"""

RETURN = r"""
present:
  description: Whether the app was on the host, whole or in part, when the module began.
  type: bool
  returned: success
removed:
  description: The files and directories that were removed, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: [/srv/hello/releases, /srv/hello/staged]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.files import reason_of
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.removal import (
    Refused,
    is_ours,
    refuse_while_changed,
    unstage,
)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "data": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    removed = []
    try:
        paths = layout(module.params["name"])
        present = is_ours(paths)
        if present:
            refuse_while_changed(paths)
            removed = unstage(paths, module.params["data"], dry=module.check_mode)
    except (ValueError, Refused) as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{reason_of(exc)}; mend that and run this again")
    diff = {"before": "".join(f"{path}\n" for path in removed), "after": ""}
    module.exit_json(changed=bool(removed), removed=removed, present=present, diff=diff)


if __name__ == "__main__":
    main()
