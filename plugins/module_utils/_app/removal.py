# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove an app from a host, and keep its data for a later installation if required.

An app exists on a host as long as its account or certain files in its home exist. The account is removed last, so that the next run
recognises an interrupted removal and completes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import prune
from ansible_collections.asgi.deploy.plugins.module_utils._app.host_command import installed_files
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    holder,
    leftovers,
    locked,
    read_text,
    remove,
    write_text,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TransientUnit


class Refused(Reported):
    """The app must not be removed now; the message is the reason."""


def is_present(paths: dict) -> bool:
    """Return whether this host has the app or parts of it; raise Refused if its name belongs to another account."""
    try:
        account = pwd.getpwnam(paths["user"])
    except KeyError:
        return any(os.path.lexists(paths[name]) for name in ("slots_directory", "build_lock", "kept"))
    if account.pw_dir != paths["home"]:
        raise Refused(
            f"asgi_name is {paths['name']!r}, but the account of that name does not belong to this app (its home is "
            f"{account.pw_dir}): nothing has been changed",
            "app-name-taken",
        )
    return True


def refuse_while_changed(paths: dict) -> None:
    """Raise Refused while a deploy, a build or another change of the app is running."""
    note = holder(paths["lock"])
    if note is not None:
        raise Refused(f"{paths['name']} is being changed {note}".rstrip() + ": nothing has been removed", "app-locked")
    if holder(paths["build_lock"]) is not None:
        raise Refused(f"a release of {paths['name']} is being built: nothing has been removed", "app-locked")


def unstage(paths: dict, data: bool, dry: bool = False) -> list[str]:
    """Remove the host command, the caches, and the files of the role asgi_app in the app's home; with *data*, also remove the app's data in shared.

    Return the removed paths; with *dry*, remove nothing and return the paths that would be removed. Without *data*, a shared directory with
    files remains, accessible only to root. The owner of the files is recorded, so that a later installation can give them to its account.
    """
    keeps = not data and bool(_entries(paths["shared"]))
    candidates = [paths[name] for name in ("releases", "staged", "cache", "build_cache")] + leftovers(paths["staged"])
    candidates += [] if keeps else [paths["shared"]]
    commands = installed_files(paths)
    found = [*commands, *(path for path in candidates if os.path.lexists(path))]
    if os.path.isdir(paths["home"]) and not keeps and not _obstacles(paths):
        found.append(paths["home"])
    if dry:
        return found
    if os.path.exists(paths["slots_directory"]):
        raise Refused(f"{paths['slots_directory']} still exists: deactivate the app first; nothing has been removed")
    with _both_locks(paths):
        # A killed build may have left processes.
        TransientUnit(paths["build_unit"], paths["build_user"], []).stop()
        if keeps and not os.path.exists(paths["kept"]):
            owner = os.stat(paths["shared"])
            # Close the home before the account is removed, because the next account that is created may get the same uid.
            os.chmod(paths["home"], 0o700)
            write_text(paths["kept"], json.dumps({"uid": owner.st_uid, "gid": owner.st_gid}) + "\n", mode=0o600)
        for path in [*commands, *candidates]:
            remove(path)
        if not keeps:
            remove(paths["kept"])
        remove(paths["lock"])
        # Remove the build lock last, because is_present() detects the app by this file if the account is missing.
        remove(paths["build_lock"])
    if paths["home"] in found:
        os.rmdir(paths["home"])
    prune()
    return found


def give_back(paths: dict, uid: int, gid: int) -> None:
    """Change the owner of a removed app's data to its new account; files of other accounts keep their owner.

    Uses directory file descriptors instead of paths, because a remaining process could replace a directory with a symlink.
    """
    previous_owner = json.loads(read_text(paths["kept"]) or "{}")
    for _directory, names, files, opened in os.fwalk(paths["shared"]):
        for name in [".", *names, *files]:
            found = os.stat(name, dir_fd=opened, follow_symlinks=False)
            wanted = (
                uid if found.st_uid == previous_owner["uid"] else found.st_uid,
                gid if found.st_gid == previous_owner["gid"] else found.st_gid,
            )
            if wanted != (found.st_uid, found.st_gid):
                os.chown(name, *wanted, dir_fd=opened, follow_symlinks=False)
    remove(paths["kept"])


@contextlib.contextmanager
def _both_locks(paths: dict):
    note = "by an uninstallation"
    busy = f"{paths['name']} is being changed "
    with locked(paths["lock"], note, busy=busy), locked(paths["build_lock"], note, busy=busy):
        yield


def _obstacles(paths: dict) -> list[str]:
    """Return the paths that prevent the removal of the app's home: files of other programs, and mount points."""
    names = "home releases configs slots_directory shared cache staged current log damaged_log lock build_lock kept metrics_program".split()
    known = {paths[name] for name in names}
    known |= {*leftovers(*known)}
    found = [paths["home"], *(os.path.join(paths["home"], name) for name in _entries(paths["home"]))]
    return [path for path in found if path not in known or os.path.ismount(path)]


def _entries(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []
