# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The home directory of an app on this host: its subdirectories, its releases, and the symlink to the staged release."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import CACHE, BuildError
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import (
    ID_PATTERN,
    Kept,
    copy_number,
    needed_by_log,
    place_of,
    same_python,
    to_prune,
)
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import DamagedLog, now, read_log
from ansible_collections.asgi.deploy.plugins.module_utils._app.removal import give_back
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    locked,
    read_link,
    read_text,
    remove_tree,
    replace_link,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.interpreter import version_of
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import TRIAL, layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TransientUnit

LOCK_SECONDS = 900
PROCESSES = Path("/proc")
# Package caches that earlier versions of this collection shared between apps.
SHARED_CACHES = (str(CACHE / "uv"), str(CACHE / "pip"))


class AppHome:
    def __init__(self, name: str) -> None:
        self.app = layout(name)
        self.releases = Path(self.app["releases"])

    def lay_out(self, change: bool) -> bool:
        """Create and correct the app's directories, or only check them if *change* is false; return whether any differed."""
        try:
            account = pwd.getpwnam(self.app["user"])
        except KeyError:
            if change:
                raise BuildError(
                    f"the host has no account {self.app['user']!r}, which the role asgi_app creates",
                    "account-missing",
                ) from None
            return True
        changed = os.path.exists(self.app["kept"])
        if changed and change:
            give_back(self.app, account.pw_uid, account.pw_gid)
        for name, uid, gid, mode in (
            ("home", 0, 0, 0o755),
            ("releases", 0, 0, 0o755),
            ("shared", account.pw_uid, account.pw_gid, 0o750),
            ("cache", account.pw_uid, account.pw_gid, 0o750),
        ):
            path = Path(self.app[name])
            if path.is_dir():
                found = path.stat()
                if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (uid, gid, mode):
                    continue
            elif change:
                path.mkdir(mode=0o700)
            changed = True
            if change:
                os.chown(path, uid, gid)
                path.chmod(mode)
        changed = self._open_slots(change) or changed
        return self._remove_shared_caches(change) or changed

    def _remove_shared_caches(self, change: bool) -> bool:
        """Remove SHARED_CACHES; return whether any existed."""
        found = [path for path in SHARED_CACHES if os.path.lexists(path)]
        for path in found if change else ():
            # The build of another app may remove the same cache concurrently.
            shutil.rmtree(path, ignore_errors=True)
        return bool(found)

    def _open_slots(self, change: bool) -> bool:
        """Make the slot directories accessible to the app after a deploy under umask 077; return whether any was inaccessible."""
        slots = [slot["directory"] for slot in self.app["slots"].values()]
        closed = [
            path
            for path in (self.app["configs"], self.app["slots_directory"], *slots)
            if os.path.isdir(path) and stat.S_IMODE(os.stat(path).st_mode) & 0o055 != 0o055
        ]
        for path in closed if change else ():
            os.chmod(path, 0o755)
        return bool(closed)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the app's build lock, waiting for other builds to release it.

        Stop the build unit first, because it may still be running if a previous module was killed.
        """
        path = self.app["build_lock"]
        busy = f"another build has held {path} for {LOCK_SECONDS} s: "
        with locked(path, "builds a release", LOCK_SECONDS, busy):
            TransientUnit(self.app["build_unit"], self.app["build_user"], []).stop()
            yield

    def manifest(self, release: str) -> dict:
        """Return the parsed release.json of *release*, or an empty dictionary if the file is missing or damaged."""
        try:
            found = json.loads(read_text(str(self.releases / release / "release.json")) or "{}")
        except (ValueError, NotADirectoryError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_complete(self, release: str) -> bool:
        manifest = self.manifest(release)
        python = self.releases / release / ".venv/bin/python"
        return manifest.get("id") == release and same_python(manifest.get("python"), version_of(str(python)))

    def place(self, release: str) -> str:
        """Return the id under which *release* exists here or must be built."""
        complete = [name for name in self._names() if copy_number(name, release) and self.is_complete(name)]
        return place_of(release, complete, self.used())

    def used(self) -> set:
        """Return the ids of the releases that are live, are in a slot, or are used by a process, such as a hook."""
        links = [self.app["current"], *(slot["release"] for slot in (*self.app["slots"].values(), self.app[TRIAL]))]
        used = {Path(target).name for target in map(read_link, links) if target}
        for process in PROCESSES.glob("[0-9]*"):
            used.update(self._used_by(process))
        return used

    def _used_by(self, process: Path) -> set:
        """Return the ids of the releases that contain the working directory, the program or a library of *process*.

        The working directory of a hook can be outside the release. The interpreter of a release is a symlink to that of the host, so
        the executable does not identify the release either, but the command line and the environment do.
        """
        texts = [os.fsencode(read_link(str(process / "cwd")) or "")]
        for name in ("cmdline", "environ", "maps"):
            # The process may end at any time.
            with contextlib.suppress(OSError):
                texts.append((process / name).read_bytes())
        pattern = rb"%s/(%s)[/\0:\s]" % (re.escape(os.fsencode(self.releases)), ID_PATTERN.pattern.encode())
        return {match[1].decode() for text in texts for match in re.finditer(pattern, text + b"\0")}

    def _names(self) -> list:
        return [path.name for path in self.releases.iterdir()] if self.releases.is_dir() else []

    def staged(self) -> str | None:
        target = read_link(self.app["staged"])
        return Path(target).name if target else None

    def stage(self, release: str) -> None:
        replace_link(self.app["staged"], f"releases/{release}")

    def prunable(self, release: str, keep: int) -> list:
        """Return the ids of the releases to remove once *release* is staged."""
        try:
            log = read_log(self.app["log"])
        except DamagedLog:
            # Without the log, a rollback may need any release. The next activation starts a new log.
            return []
        protected = {release, *self.used(), *needed_by_log(log)}
        found = [
            Kept(name, self.manifest(name).get("built_at"))
            for name in self._names()
            if ID_PATTERN.fullmatch(name) and name != release
        ]
        # In check mode, the new release does not exist yet, but counts as the newest one.
        found.append(Kept(release, self.manifest(release).get("built_at") or now()))
        return to_prune(found, keep, protected)

    def remove(self, release: str) -> None:
        """Remove a release, its release.json first, so that an interrupted removal leaves no complete release."""
        directory = self.releases / release
        if directory.is_symlink():
            directory.unlink()
        elif directory.exists():
            (directory / "release.json").unlink(missing_ok=True)
            remove_tree(str(directory))
