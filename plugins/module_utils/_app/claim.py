# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the accounts and paths with an app's name belong to the app or to another program."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import UNITS

SHELL = "/usr/sbin/nologin"
BUILD_HOME = "/nonexistent"


class Claim(NamedTuple):
    """Whether the app's accounts are ready; if they are not, the reason, if any, why the app's name cannot be used."""

    ready: bool
    objection: str = ""


def claim(
    paths: dict, user: pwd.struct_passwd | None, group: grp.struct_group | None, exists: Callable[[str], bool]
) -> Claim:
    """Check the host's *user* and *group* with the app's name; None stands for a missing one.

    *paths* is the layout of the app.
    """
    name, home = paths["name"], paths["home"]
    if user is not None and user.pw_dir == home:
        return Claim(ready=user.pw_shell == SHELL and group is not None and user.pw_gid == group.gr_gid)
    for kind, found in (("an account", user), ("a group", group)):
        if found is not None:
            return Claim(
                ready=False,
                objection=f"the host has {kind} of that name, which does not belong to this app -> choose another asgi_name",
            )
    taken = [] if exists(home) else [path for path in _taken(name, paths["run"]) if exists(path)]
    if taken:
        return Claim(
            ready=False,
            objection=f"the host has {' and '.join(taken)}, which does not belong to this app -> choose another asgi_name, or "
            "remove it",
        )
    return Claim(ready=False)


def build_claim(paths: dict, user: pwd.struct_passwd | None, group: grp.struct_group | None) -> Claim:
    """Check the host's *user* and *group* with the name of the app's build account; None stands for a missing one.

    The comment field identifies an account of this collection; the name does not, because other programs also use names with an underscore.
    """
    name = paths["build_user"]
    if user is not None and (user.pw_gecos, user.pw_dir) == (paths["build_comment"], BUILD_HOME):
        return Claim(ready=user.pw_shell == SHELL and group is not None and user.pw_gid == group.gr_gid)
    for kind, found in (("an account", user), ("a group", group)):
        if found is not None:
            return Claim(
                ready=False,
                objection=f"the host has {kind} {name}, the name of this app's build account, which another program created "
                "-> choose another asgi_name",
            )
    return Claim(ready=False)


def check_claim(paths: dict) -> Claim:
    """Check the app's accounts and its build account on this host."""
    own = claim(paths, _entry(pwd.getpwnam, paths["user"]), _entry(grp.getgrnam, paths["group"]), os.path.lexists)
    build = build_claim(paths, _entry(pwd.getpwnam, paths["build_user"]), _entry(grp.getgrnam, paths["build_user"]))
    return Claim(own.ready and build.ready, own.objection or build.objection)


def _taken(name: str, run: str) -> list:
    """Return the paths of units and a runtime directory that another program may use and that an app of this name would replace."""
    # /lib is a symlink to /usr/lib on all supported hosts.
    units = (UNITS, "/usr/lib/systemd/system")
    return [f"{directory}/{name}@.{kind}" for directory in units for kind in ("service", "socket")] + [run]


def _entry(get: Callable, name: str):
    try:
        return get(name)
    except KeyError:
        return None
