# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a daemon that all apps of a host share. They are tested in a copy, written, and restored if the daemon does not load them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Callable

from ansible_collections.asgi.deploy.plugins.module_utils._host.daemon_files import (
    agreement,
    conffile_digest,
    disagreements,
    not_loaded,
    relocate,
    show_service,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import locked, read_text, write_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.port_holders import port_faults

LOCK_SECONDS = 300


class Refused(Reported):
    """The change is not possible; the message contains the reason and the remedy."""


class CheckedFiles:
    """The current and the wanted texts of a daemon's files.

    *wanted* maps paths to texts, or None to remove the file. The modification times of the stamp files *changed* and *loaded* record when
    the last write and the last successful load began. The stamp files need not survive a reboot, because the daemon reads all its files
    when it starts.
    """

    def __init__(self, module: HostModule, unit: str, wanted: dict, changed: Path, loaded: Path) -> None:
        self.module = module
        self.unit = unit
        self.service = show_service(module.run_command, unit)
        self.wanted = wanted
        self.before = {path: read_text(str(path), errors="surrogateescape") for path in wanted}
        self.changes = {path: text for path, text in wanted.items() if text != self.before[path]}
        # Files that belong to other packages; they keep their permissions.
        self.foreign: set = set()
        self._changed = changed
        self._loaded = loaded

    @property
    def changes_files(self) -> bool:
        return bool(self.changes)

    def refuse_held_ports(self, ports: Iterable[int], udp: Iterable[int] = ()) -> None:
        """Raise Refused if a program other than the daemon uses one of the TCP *ports* or the UDP ports *udp*."""
        for _port, fault in port_faults(ports, udp, self.service.main_pid, self.unit):
            raise Refused(f"{fault} -> stop that program, or choose another port", "port-held")

    def refuse_disagreement(self, others_on: Callable[[int], list], role: str) -> None:
        """Raise Refused if a port's shared setting, a variable of *role*, differs, and *others_on* returns other sites of the port."""
        for path, text in self.changes.items():
            differences = disagreements(self.before[path] or "", text or "")
            if not differences:
                continue
            port = agreement(text)[0]
            others = others_on(port)
            if others:
                raise Refused(
                    f"all sites of port {port} share some settings, and {' and '.join(differences)} "
                    f"({role}_{differences[0].split()[0]}) for {' and '.join(others)} -> set the same values for this site, choose another port, or change "
                    f"all of them with -e '{{\"{role}_change_port\": true}}' in this run",
                    "port-settings-differ",
                )

    def note_change(self) -> None:
        _touch(self._changed, time.time())

    def write(self) -> None:
        self.note_change()
        try:
            for path, text in self.changes.items():
                put(path, text, foreign=path in self.foreign)
        except OSError:
            self.restore()  # only the complete set of changes was tested
            raise

    def restore(self) -> None:
        """Restore the previous files in reverse order, because an included file must exist as long as other files include it."""
        self.note_change()
        for path in reversed(self.changes):
            put(path, self.before[path], foreign=path in self.foreign)

    def has_unloaded_changes(self, watch: Iterable[str]) -> bool:
        """Return whether a file has changed since the daemon last loaded its files. *watch* are further files that the daemon's files use."""
        paths = [*self.wanted, *map(Path, watch)]
        changed = [stamp for path in paths for stamp in _change_times(path)] + [_modified(self._changed)]
        return not_loaded(changed, [self.service.starting_since, _modified(self._loaded)], time.time())

    def begin_load(self) -> float:
        """Return the current time, to be recorded as the time when the load began.

        Files with a time in the future get the current time; otherwise they would count as changed until then.
        """
        now = time.time()
        for path in [*self.wanted, *map(Path, self.module.params["watch"])]:
            for follow in (False, True):
                with contextlib.suppress(OSError):
                    found = os.stat(path, follow_symlinks=follow)
                    if found.st_ctime > now:
                        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=follow)
        if _modified(self._changed) > now:
            _touch(self._changed, now)
        return time.time()

    def note_loaded(self, load_time: float) -> None:
        """Record that the load that began at *load_time* succeeded."""
        _touch(self._loaded, load_time)

    def is_unchanged_conffile(self, path: Path, package: str) -> bool:
        """Return whether the configuration file *path* of the Debian *package* is unchanged since its installation."""
        _status, out, _err = self.module.run_command(["dpkg-query", "--show", "--showformat=${Conffiles}", package])
        try:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        except OSError:
            return False
        return digest == conffile_digest(out, str(path))

    def diff(self) -> list:
        return [difference(path, self.before[path] or "", text or "") for path, text in sorted(self.changes.items())]

    def result(self, reloaded: bool) -> dict:
        """Return the module's result; *reloaded* states whether the daemon was reloaded."""
        return {
            "changed": self.changes_files or reloaded,
            "reloaded": reloaded,
            "written": sorted(str(path) for path, text in self.changes.items() if text is not None),
            "removed": sorted(str(path) for path, text in self.changes.items() if text is None),
            "diff": self.diff(),
        }


def refuse_bad_files(files: dict, suffixes: tuple) -> None:
    """Raise Refused if *files* maps a name that is not a plain file name with one of *suffixes*, or an invalid text."""
    for name, text in files.items():
        if Path(name).name != name or not name.endswith(suffixes) or name.startswith("."):
            raise Refused(f"files: {name!r} is not a file name that ends in {' or '.join(suffixes)}")
        if text is not None and not isinstance(text, str):
            raise Refused(f"files: {name!r} is neither a string nor null")


@contextlib.contextmanager
def exclusive_change(module: HostModule, lock: str, note: str, resource: str) -> Iterator[None]:
    """Hold *lock* while *module* changes *resource*. The module fails if it cannot get the lock in time, or on a reported error."""
    busy = f"another task has been changing {resource} for {LOCK_SECONDS} s: "
    with module.reporting(), locked(lock, note, LOCK_SECONDS, busy):
        yield


def copy_configuration(configuration: Path, copy: Path, moves: dict, changes: dict) -> None:
    """Copy *configuration* to *copy* with *changes*, and replace the paths in *moves*.

    *changes* maps paths below *configuration* to texts, or None for files that the copy omits. Only root may have access to the copy,
    because the configuration may contain keys.
    """
    if configuration.is_dir():
        # The copy omits dangling symlinks. If the daemon needs one, its reload fails.
        shutil.copytree(configuration, copy, ignore_dangling_symlinks=True)
    for each in copy.rglob("*"):
        if each.is_file():
            _relocate_file(each, moves)
    for path, text in changes.items():
        put(copy / path.relative_to(configuration), text and relocate(text.encode(), moves).decode())


def is_there(path: Path) -> bool:
    """Return whether *path* exists, possibly as a dangling symlink."""
    return path.is_symlink() or path.exists()


def put(path: Path, text: str | None, foreign: bool = False) -> None:
    """Write *text* to *path*, or remove the file if *text* is None. A *foreign* file keeps its permissions."""
    if text is not None and foreign:
        found = path.stat()
        write_text(str(path), text, stat.S_IMODE(found.st_mode), found.st_gid)
    elif text is not None:
        write_text(str(path), text)
    elif is_there(path):
        path.unlink()


def difference(path, before, after):
    """Return the change of *path* for --diff."""
    # Ansible requires UTF-8 in a module's result, but the file may have another encoding
    before = before.encode(errors="surrogateescape").decode(errors="replace")
    return {"before_header": str(path), "after_header": str(path), "before": before, "after": after}


def _relocate_file(path: Path, moves: dict) -> None:
    content = path.read_bytes()
    moved = relocate(content, moves)
    if moved != content:
        path.write_bytes(moved)


def _touch(path, when):
    path.touch()
    os.utime(path, (when, when))


def _modified(path):
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _change_times(path):
    """Yield the change times of *path* and, for a symlink, of its target."""
    for look in (path.lstat, path.stat):
        with contextlib.suppress(OSError):
            yield look().st_ctime
