# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an app may have its name on a host, or would take over what is somebody else's."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Callable, NamedTuple

SHELL = "/usr/sbin/nologin"


class Claim(NamedTuple):
    """Whether the account of an app is as it should be, and else, what keeps the app from its name."""

    ready: bool
    objection: str = ""


def claim(
    paths: dict, user: pwd.struct_passwd | None, group: grp.struct_group | None, exists: Callable[[str], bool]
) -> Claim:
    """Return what comes of the *user* and the *group* of an app's name, each None if the host has none.

    *paths* is the layout of the app.
    """
    name, home = paths["name"], paths["home"]
    if user is not None and user.pw_dir == home:
        return Claim(ready=user.pw_shell == SHELL and group is not None and user.pw_gid == group.gr_gid)
    for kind, found in (("an account", user), ("a group", group)):
        if found is not None:
            return Claim(
                ready=False,
                objection=f"the host has {kind} of that name which is not this app's -> choose another asgi_name",
            )
    taken = [] if exists(home) else [path for path in _taken(name, paths["run"]) if exists(path)]
    if taken:
        return Claim(
            ready=False,
            objection=f"the host has {' and '.join(taken)}, which is not this app's -> choose another asgi_name, or remove "
            "what is left over",
        )
    return Claim(ready=False)


def look_up(paths: dict) -> Claim:
    """Return what comes of what this host has."""
    return claim(paths, _entry(pwd.getpwnam, paths["user"]), _entry(grp.getgrnam, paths["group"]), os.path.lexists)


def _taken(name: str, run: str) -> list:
    """Return what an app of this name would take over: other packages' units, and the directory of another daemon."""
    # /lib is a link to /usr on every host that is supported
    units = ("/etc/systemd/system", "/usr/lib/systemd/system")
    return [f"{directory}/{name}@.{kind}" for directory in units for kind in ("service", "socket")] + [run]


def _entry(look: Callable, name: str):
    try:
        return look(name)
    except KeyError:
        return None
