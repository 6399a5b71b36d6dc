# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a daemon that all apps of a host share: tried in a copy, written, and put back if it does not load them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.daemon_files import (
    TCP_LISTEN,
    UDP_UNCONNECTED,
    Service,
    agreement,
    disagreements,
    listening_sockets,
    not_loaded,
    parse_service,
    relocate,
)
from ansible_collections.asgi.deploy.plugins.module_utils.files import (
    Locked,
    locked,
    read_link,
    read_text,
    reason_of,
    write_text,
)

LOCK_SECONDS = 300


class Refused(Exception):
    """The module cannot go on; the message says why and what to do."""


class CheckedFiles:
    """What a daemon's files are to be, and what is there.

    *wanted* has their texts by path, None for one that is to go. *changed* and *loaded* are files whose mtime says when
    something was about to be written, and when the daemon was last asked to load what it then did load. Both vanish at a
    reboot, and rightly: the daemon reads everything when it starts.
    """

    def __init__(self, module: AnsibleModule, unit: str, wanted: dict, changed: Path, loaded: Path) -> None:
        self.module = module
        self.unit = unit
        self.service = self._service()
        self.wanted = wanted
        self.before = {path: read_text(str(path), errors="surrogateescape") for path in wanted}
        self.changes = {path: text for path, text in wanted.items() if text != self.before[path]}
        self._changed = changed
        self._loaded = loaded

    @property
    def changes_files(self) -> bool:
        return bool(self.changes)

    def _service(self) -> Service:
        properties = "--property=ActiveState,MainPID,InactiveExitTimestamp"
        _status, out, _err = self.module.run_command(["systemctl", "show", "--timestamp=us+utc", properties, self.unit])
        return parse_service(out)

    def refuse_held_ports(self, ports: Iterable[int], udp: Iterable[int] = ()) -> None:
        """Refuse if another program than the daemon listens on one of *ports*, or gets what comes to one of *udp*."""
        self._refuse_held("port {}", "tcp", TCP_LISTEN, ports)
        self._refuse_held("UDP port {}", "udp", UDP_UNCONNECTED, udp)

    def _refuse_held(self, name: str, protocol: str, state: str, ports: Iterable[int]) -> None:
        sockets: dict[int, set] = {}
        for table in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
            for port, inodes in listening_sockets(read_text(table) or "", state).items():
                sockets.setdefault(port, set()).update(inodes)
        for port in ports:
            if port not in sockets:
                continue
            holders = _holders(sockets[port])
            if holders and not (self.service.main_pid and self.service.main_pid in holders):
                pid, program = min(holders.items())
                raise Refused(
                    f"{name.format(port)} of this host is held by {program} (process {pid}), not by {self.unit}: "
                    f"stop that program, or choose another port"
                )

    def refuse_disagreement(self, others_on: Callable[[int], list], role: str) -> None:
        """Refuse to change what holds for a port, by variables of *role*, while *others_on* it are not to be changed."""
        for path, text in self.changes.items():
            differences = disagreements(self.before[path] or "", text or "")
            if not differences:
                continue
            port = agreement(text)[0]
            others = others_on(port)
            if others:
                raise Refused(
                    f"all sites of port {port} have to agree, and there, {' and '.join(differences)} "
                    f"({role}_{differences[0].split()[0]}), as {' and '.join(others)} wants it: give this one the same, or "
                    f"another port, or change all of them, with -e '{{\"{role}_change_port\": true}}' this once"
                )

    def note_change(self) -> None:
        _touch(self._changed, time.time())

    def write(self) -> None:
        self.note_change()
        for path, text in self.changes.items():
            put(path, text)

    def restore(self) -> None:
        self.note_change()
        for path in self.changes:
            put(path, self.before[path])

    def has_unloaded_changes(self, watch: Iterable[str]) -> bool:
        """Return whether a file, or one of those that the files name, has changed since the daemon read it."""
        paths = [*self.wanted, *map(Path, watch)]
        changed = [stamp for path in paths for stamp in _change_times(path)] + [_modified(self._changed)]
        return not_loaded(changed, [self.service.starting_since, _modified(self._loaded)])

    def note_loaded(self, asked: float) -> None:
        """Note that the daemon has loaded what was there when it was *asked* to."""
        _touch(self._loaded, asked)

    def diff(self) -> list:
        return [difference(path, self.before[path] or "", text or "") for path, text in sorted(self.changes.items())]

    def result(self, reloaded: bool) -> dict:
        """Return what the module says of its changes, and of whether the daemon has been *reloaded*."""
        return {
            "changed": self.changes_files or reloaded,
            "reloaded": reloaded,
            "written": sorted(str(path) for path, text in self.changes.items() if text is not None),
            "removed": sorted(str(path) for path, text in self.changes.items() if text is None),
            "diff": self.diff(),
        }


def refuse_bad_files(files: dict, suffix: str) -> None:
    """Refuse *files*, which are texts by name, that would be in another directory, or not be read by the daemon."""
    for name, text in files.items():
        if Path(name).name != name or not name.endswith(suffix) or name.startswith("."):
            raise Refused(f"files: {name!r} is not a file name that ends in {suffix}")
        if text is not None and not isinstance(text, str):
            raise Refused(f"files: {name!r} needs a text, or null")


@contextlib.contextmanager
def sole_change(module: AnsibleModule, lock: str, note: str, what: str) -> Iterator[None]:
    """Change *what* as nobody else does who takes *lock*; *module* fails if that is not to be had, or is refused."""
    try:
        with locked(lock, note, wait=LOCK_SECONDS):
            yield
    except Locked as exc:
        module.fail_json(msg=f"another task has been changing {what} for {LOCK_SECONDS} s: {exc}")
    except Refused as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=reason_of(exc))


def copy_configuration(configuration: Path, copy: Path, moves: dict, changes: dict) -> None:
    """Copy *configuration* to *copy* with *changes* made and the paths in *moves* exchanged.

    *changes* are texts by path below *configuration*; one without a text (None) is missing from the copy. The copy must be
    for root only: there may be keys in the configuration.
    """
    if configuration.is_dir():
        # A link that leads nowhere is left out; should the daemon care, then its reload says so.
        shutil.copytree(configuration, copy, ignore_dangling_symlinks=True)
    for each in copy.rglob("*"):
        if each.is_file():
            _relocate_file(each, moves)
    for path, text in changes.items():
        put(copy / path.relative_to(configuration), text and relocate(text.encode(), moves).decode())


def is_there(path: Path) -> bool:
    """Return whether *path* is something, be it a link that leads nowhere."""
    return path.is_symlink() or path.exists()


def put(path: Path, text: str | None) -> None:
    """Make *text* the content of *path*; without one, remove it."""
    if text is not None:
        write_text(str(path), text)
    elif is_there(path):
        path.unlink()


def difference(path, before, after):
    """Return what --diff shows of *path*."""
    # what is told is UTF-8, whatever was in the file
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
    """Yield when *path* was last changed, and if it is a link, when what it leads to was."""
    for look in (path.lstat, path.stat):
        with contextlib.suppress(OSError):
            yield look().st_ctime


def _holders(inodes):
    """Return the names, by process id, of the processes that hold one of the sockets *inodes*."""
    links = {f"socket:[{inode}]" for inode in inodes}
    found = {}
    for process in (each for each in Path("/proc").iterdir() if each.name.isdigit()):
        with contextlib.suppress(OSError):
            if any(read_link(str(each)) in links for each in (process / "fd").iterdir()):
                found[int(process.name)] = (read_text(str(process / "comm")) or "?").strip()
    return found
