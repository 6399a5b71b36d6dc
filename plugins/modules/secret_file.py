#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a secret to a file without exposing it to other accounts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_file
short_description: Write a secret to a file without ever exposing it to other accounts
version_added: 1.0.0
description:
  - Creates a temporary file with mode 0600, writes the content, sets owner, group and mode, and renames it to O(path). C(copy) and
    C(template) create a file that every account can read, and set the mode afterwards.
  - Also replaces the file if only its owner, group or mode differ.
options:
  path:
    description: Path of the file. A symlink is replaced, not followed.
    type: path
    required: true
  content:
    description: Content of the file. The module never prints it.
    type: str
    required: true
  owner:
    description: Owner of the file.
    type: str
    default: root
  group:
    description: Group of the file.
    type: str
    default: root
  mode:
    description:
      - Mode of the file as four octal digits in quotes. The last digit must be 0, because other accounts must not have access.
    type: str
    default: "0600"
  directory_mode:
    description:
      - Mode of the directory of the file. The module creates the directory if necessary, and sets its owner to root and its mode. The
        last digit must be 0, as in O(mode).
      - If unset, an existing directory keeps its owner and mode, and a missing directory is created with mode 0755.
    type: str
  validate:
    description: Command that validates the new file before it replaces the old one. V(%s) is replaced with its path. The command
      runs without a shell, and its output is hidden, because it may quote the file.
    type: str
attributes:
  check_mode:
    description: Supports check mode, even if the directory and the accounts do not exist yet. Does not run O(validate) in check mode.
    support: full
  diff_mode:
    description: Shows owner, group and mode, and whether the content changes, but not the content.
    support: full
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Copy the token of the backup
  asgi.deploy.secret_file:
    path: /etc/backup/token
    content: "{{ vault_backup_token }}\n"
    group: backup
    mode: "0640"
"""

RETURN = r""" # """

import grp
import os
import pwd
import shlex

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.secret_files import (
    Access,
    exposure,
    has_text,
    parse_mode,
    write_secret,
)


class Refused(Reported):
    """The file cannot be written; the message is the reason."""


def wanted_access(module: HostModule) -> Access | None:
    """Return the wanted access, or None in check mode if the owner or group does not exist yet."""
    modes = {}
    for option in ("mode", "directory_mode"):
        try:
            modes[option] = parse_mode(module.params[option]) if module.params[option] is not None else None
        except ValueError as exc:
            raise Refused(f"{option}: {exc}") from exc
    ids = {}
    for option, key, look_up in (("owner", "uid", pwd.getpwnam), ("group", "gid", grp.getgrnam)):
        try:
            ids[key] = look_up(module.params[option])[2]
        except KeyError:
            if module.check_mode:
                return None
            raise Refused(f"{option}: {module.params[option]!r} does not exist on this host") from None
    return Access(**ids, **modes)


def checker(module: HostModule):
    """Return a function that runs the validate command on a file, or None without that option."""
    command = module.params["validate"]
    if command is None:
        return None
    words = shlex.split(command)
    if "%s" not in command or not words:
        raise Refused("validate: the command must contain %s, which stands for the path of the file")

    def check(path: str) -> None:
        status, _out, _err = module.run_command([word.replace("%s", path) for word in words])
        if status:
            raise Refused(
                f"{words[0]} rejects the new content of {module.params['path']} (exit status {status}), so the file was not changed; "
                "its output is hidden, because it may quote the content"
            )

    return check


def run(module: HostModule) -> dict:
    path, content = module.params["path"], module.params["content"]
    if not os.path.isabs(path) or os.path.isdir(path):
        raise Refused(f"path: {path!r} is not the absolute path of a file")
    wanted, check = wanted_access(module), checker(module)
    same = has_text(path, content)
    differences = exposure(path, wanted) if wanted else {path: ("", "")}
    if (differences or not same) and not module.check_mode:
        write_secret(path, content, wanted, check)
    return {"changed": bool(differences) or not same, "diff": [diff(path, same, differences)]}


def diff(path: str, same: bool, differences: dict) -> dict:
    sides = [[f"{each} {states[side]}" for each, states in differences.items()] for side in (0, 1)]
    if not same:
        sides[0] += ["content (hidden)" if os.path.exists(path) else ""]
        sides[1] += ["content (hidden, changed)"]
    before, after = ("".join(f"{line}\n" for line in side if line) for side in sides)
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def main():
    module = HostModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0600"},
            "directory_mode": {"type": "str"},
            "validate": {"type": "str"},
        },
        supports_check_mode=True,
    )
    with module.reporting():
        result = run(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
