# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking an app off a host: whether what is there is ours, what goes, and what becomes of data that stays.

An app is known by its account, which goes last, and without one by what asgi_app and asgi_server put below its home.
So a removal that was interrupted is always one that the next run recognises and finishes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd

from ansible_collections.asgi.deploy.plugins.module_utils.files import (
    Locked,
    holder,
    locked,
    read_text,
    remove,
    write_text,
)


class Refused(Exception):
    """Nothing may be removed; the message says why."""


def is_ours(paths: dict) -> bool:
    """Return whether the app is on this host, whole or in part; raise Refused if its name is somebody else's."""
    try:
        account = pwd.getpwnam(paths["user"])
    except KeyError:
        return any(os.path.lexists(paths[name]) for name in ("slots_directory", "build_lock", "kept"))
    if account.pw_dir != paths["home"]:
        raise Refused(
            f"asgi_name is {paths['name']!r}, but the account of that name is not this app's (its home is "
            f"{account.pw_dir}): nothing has been changed"
        )
    return True


def refuse_while_changed(paths: dict) -> None:
    """Raise Refused if a deploy, a build or anything else that changes the app is under way."""
    note = holder(paths["lock"])
    if note is not None:
        raise Refused(f"{paths['name']} is being changed {note}".rstrip() + ": nothing has been removed")
    if holder(paths["build_lock"]) is not None:
        raise Refused(f"a release of {paths['name']} is being built: nothing has been removed")


def unstage(paths: dict, data: bool, dry: bool = False) -> list[str]:
    """Remove what asgi_app has put below the app's home, with *data* what the app keeps in shared too.

    Return what was removed, or would be. Without *data* a shared directory that holds something stays as it is, closed to
    everybody but root, and what it needs to be given back to an app that is installed again is noted beside it.
    """
    keeps = not data and bool(_entries(paths["shared"]))
    doomed = [paths["releases"], paths["staged"]] + ([] if keeps else [paths["shared"]])
    found = [path for path in doomed if os.path.lexists(path)]
    if os.path.isdir(paths["home"]) and not keeps and not _strangers(paths):
        found.append(paths["home"])
    if dry:
        return found
    if os.path.exists(paths["slots_directory"]):
        raise Refused(f"{paths['slots_directory']} is still there: deactivate the app first; nothing has been removed")
    with _both_locks(paths):
        if keeps and not os.path.exists(paths["kept"]):
            owner = os.stat(paths["shared"])
            # closed first: the number of an account that is gone is given to the next one
            os.chmod(paths["home"], 0o700)
            write_text(paths["kept"], json.dumps({"uid": owner.st_uid, "gid": owner.st_gid}) + "\n", mode=0o600)
        for path in doomed:
            remove(path)
        if not keeps:
            remove(paths["kept"])
        remove(paths["lock"])
        # the last of what tells that this home is ours
        remove(paths["build_lock"])
    if paths["home"] in found:
        os.rmdir(paths["home"])
    return found


def give_back(paths: dict, uid: int, gid: int) -> None:
    """Give the data of an app that was removed to its new account; whatever belonged to others stays theirs."""
    former = json.loads(read_text(paths["kept"]) or "{}")
    for directory, names, files in os.walk(paths["shared"]):
        for path in [directory, *(os.path.join(directory, name) for name in names + files)]:
            found = os.lstat(path)
            wanted = (
                uid if found.st_uid == former["uid"] else found.st_uid,
                gid if found.st_gid == former["gid"] else found.st_gid,
            )
            if wanted != (found.st_uid, found.st_gid):
                os.lchown(path, *wanted)
    remove(paths["kept"])


@contextlib.contextmanager
def _both_locks(paths: dict):
    note = "by somebody who uninstalls it"
    try:
        with locked(paths["lock"], note, 0), locked(paths["build_lock"], note, 0):
            yield
    except Locked as exc:
        raise Refused(f"{paths['name']} is being changed {exc}") from exc


def _strangers(paths: dict) -> list[str]:
    """Return what keeps the app's home from being removed: what somebody else has put there, and mount points."""
    ours = (
        "home releases configs slots_directory shared staged current log lock build_lock kept metrics_program".split()
    )
    known = {paths[name] for name in ours}
    there = [paths["home"], *(os.path.join(paths["home"], name) for name in _entries(paths["home"]))]
    return [path for path in there if path not in known or os.path.ismount(path)]


def _entries(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []
