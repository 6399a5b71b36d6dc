# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories below the app's shared directory that nginx serves, for example uploads.

An access control list lets nginx's account enter these directories and read their files, and a default list does the same for files that
the app creates later. No other account gets access, and nginx's account gets none to the rest of the shared directory.
All directories below it are opened without following symlinks, because the app can replace each of them at any time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterable, Iterator

from ansible_collections.asgi.deploy.plugins.module_utils._host import acl
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported

NGINX_USER = "www-data"
# Mode of a new directory until it belongs to the app.
NEW_MODE = 0o700
# The mode of directories that the app creates under the umask of its unit.
MODE = 0o750
# nginx serves no path that is longer than 4096 characters, and a hostile app could make the recursion arbitrarily deep.
DEPTH = 200
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
ENTER, LIST = acl.EXECUTE, acl.READ | acl.EXECUTE


class Unservable(Reported):
    """nginx cannot be given access to a directory; the message has the remedy."""

    code = "directory-not-servable"


class ServedDirectories:
    """The directories *names*, relative paths below the shared directory of the app with these *paths*.

    With *dry*, nothing changes.
    """

    def __init__(self, paths: dict, names: Iterable[str], dry: bool = False) -> None:
        self.paths, self.dry = paths, dry
        self.names = sorted({name.strip("/") for name in names})
        # The changed paths, for the result of the module.
        self.changed: list[str] = []

    def apply(self) -> list[str]:
        """Open the listed directories for nginx, close the other ones, and return the changed paths."""
        try:
            self.nginx = pwd.getpwnam(NGINX_USER).pw_uid
            self.app = pwd.getpwnam(self.paths["user"])
            # Only root can make this directory a symlink, for example to another disk.
            shared = os.open(self.paths["shared"], DIRECTORY & ~os.O_NOFOLLOW)
        except (KeyError, FileNotFoundError):
            return self._without_app()
        with _closing(shared):
            try:
                for name in self.names:
                    self._open(shared, name)
            except OSError as exc:
                if exc.errno != errno.ENOTSUP:
                    raise
                raise Unservable(
                    f"the file system of {self.paths['shared']} has no access control lists, which would let nginx read uploads; nothing "
                    "has been published -> use a file system with POSIX ACLs, such as ext4 or XFS, or let the app serve the files"
                ) from exc
            self._close_others(shared)
        return self.changed

    def _without_app(self) -> list[str]:
        if not self.names:
            return []
        if self.dry:
            return [self._path(name) for name in self.names]
        raise Unservable(
            f"{self.paths['shared']} does not exist, and nginx should serve {self._path(self.names[0])}; nothing has been published -> "
            "deploy the app first (asgi.deploy.site does)"
        )

    def _path(self, name: str) -> str:
        return os.path.join(self.paths["shared"], name)

    def _open(self, shared: int, name: str) -> None:
        """Let nginx enter the directories that lead to *name*, and read everything below."""
        opened, path = os.dup(shared), self.paths["shared"]
        *outer, last = name.split("/")
        for part, permissions in (*((each, ENTER) for each in outer), (last, LIST)):
            with _closing(opened):
                self._grant(opened, path, ENTER)
                path = os.path.join(path, part)
                opened = self._enter(opened, part, path, permissions)
            if opened is None:
                return
        with _closing(opened):
            lists = (acl.read(opened), acl.read(opened, acl.DEFAULT))
            if any(acl.permissions_of(each, self.nginx) != LIST for each in lists):
                self.changed.append(path)
                if not self.dry:
                    self._open_tree(opened)

    def _enter(self, directory: int, name: str, path: str, permissions: int) -> int | None:
        """Open the directory *name*, and create it if necessary; None if it is missing in a dry run.

        Refuse a directory for which the app itself does not have these *permissions*.
        """
        try:
            opened = os.open(name, DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            self.changed.append(path)
            if self.dry:
                return None
            os.mkdir(name, NEW_MODE, dir_fd=directory)
            opened = os.open(name, DIRECTORY, dir_fd=directory)
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise Unservable(
                f"{path} is not a directory, and nginx follows no symlink of the app; nothing has been published -> replace it with a "
                "directory, or mount the other one there"
            ) from exc
        found = os.fstat(opened)
        # Also true after a run that was interrupted here. The app can give root's directories another name, so they must be empty.
        if (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, NEW_MODE) and not os.listdir(opened):
            if not self.dry:
                os.fchmod(opened, MODE)
                os.fchown(opened, self.app.pw_uid, self.app.pw_gid)
        elif not self._is_accessible(opened, permissions):
            os.close(opened)
            raise Unservable(
                f"{path} does not belong to {self.paths['user']}, which cannot read it, so nginx must not read it either; nothing has been "
                f"published -> give it to the app (chown {self.paths['user']}: {path}), or serve another directory"
            )
        return opened

    def _is_accessible(self, directory: int, permissions: int) -> bool:
        """Return whether the app has these *permissions* for the open *directory*, without its access to files of all accounts."""
        found = os.fstat(directory)
        groups = os.getgrouplist(self.paths["user"], self.app.pw_gid)
        granted = found.st_mode & 7 | acl.permissions_of(acl.read(directory), self.app.pw_uid)
        granted |= found.st_mode >> 3 & 7 if found.st_gid in groups else 0
        return found.st_uid == self.app.pw_uid or granted & permissions == permissions

    def _open_tree(self, directory: int, depth: int = 0) -> None:
        """Let nginx read the app's files and directories below *directory*. Those of other accounts stay closed."""
        # Before the entries are read, so that files which the app creates meanwhile have the list. The unit's umask does not apply in
        # a directory with a default list, so the list has the same effect.
        default = acl.read(directory, acl.DEFAULT) or acl.of_mode(MODE)
        acl.write(directory, acl.granting(default, self.nginx, LIST), acl.DEFAULT)
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            # The app may remove or replace the entry at any time.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._open_entry(directory, name, depth)
        # Last, so that the next run repeats an interrupted one.
        acl.grant(directory, self.nginx, LIST)

    def _open_entry(self, directory: int, name: str, depth: int) -> None:
        # Checked before it is opened, because opening a device or a pipe has effects.
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if found.st_uid != self.app.pw_uid:
            return
        if stat.S_ISDIR(found.st_mode) and depth < DEPTH:
            with _closing(os.open(name, DIRECTORY, dir_fd=directory)) as opened:
                if os.fstat(opened).st_uid == self.app.pw_uid:
                    self._open_tree(opened, depth + 1)
        elif stat.S_ISREG(found.st_mode):
            with contextlib.suppress(OSError), _closing(os.open(name, FILE, dir_fd=directory)) as opened:
                again = os.fstat(opened)
                if stat.S_ISREG(again.st_mode) and again.st_uid == self.app.pw_uid:
                    acl.grant(opened, self.nginx, acl.READ)

    def _close_others(self, shared: int) -> None:
        """Withdraw nginx's access to directories that are no longer listed."""
        if not self.names:
            self._withdraw(shared, self.paths["shared"])
            return
        self._close_beside(shared, self.paths["shared"], [name.split("/") for name in self.names])

    def _close_beside(self, directory: int, path: str, wanted: list[list[str]]) -> None:
        """Withdraw nginx's access to everything that is not on the path to a *wanted* directory, relative to the open *directory*."""
        if [] in wanted:
            return
        # An earlier run listed this directory itself.
        was_listed = acl.permissions_of(acl.read(directory), self.nginx) & acl.READ
        with os.scandir(directory) as entries:
            found = [
                (each.name, DIRECTORY if each.is_dir(follow_symlinks=False) else FILE)
                for each in entries
                if each.is_dir(follow_symlinks=False) or (was_listed and each.is_file(follow_symlinks=False))
            ]
        for name, flags in found:
            within = [rest for first, *rest in wanted if first == name]
            below = os.path.join(path, name)
            # The app may remove or replace the entry at any time.
            with contextlib.suppress(OSError), _closing(os.open(name, flags, dir_fd=directory)) as opened:
                if within and flags == DIRECTORY:
                    self._close_beside(opened, below, within)
                else:
                    self._withdraw(opened, below)
        if was_listed:
            self.changed.append(path)
            if not self.dry:
                acl.grant(directory, self.nginx, 0, acl.DEFAULT)
                # Last, so that the next run repeats an interrupted one.
                acl.grant(directory, self.nginx, ENTER)

    def _grant(self, file: int, path: str, permissions: int) -> None:
        """Give nginx at least these *permissions* for the open *file*."""
        current = acl.permissions_of(acl.read(file), self.nginx)
        if current & permissions != permissions:
            self.changed.append(path)
            if not self.dry:
                acl.grant(file, self.nginx, permissions)

    def _withdraw(self, file: int, path: str) -> None:
        if acl.permissions_of(acl.read(file), self.nginx):
            self.changed.append(path)
            if not self.dry:
                acl.grant(file, self.nginx, 0)


@contextlib.contextmanager
def _closing(file: int) -> Iterator[int]:
    try:
        yield file
    finally:
        os.close(file)
