# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack a source tree into an archive with a digest of its content.

The archive and the digest depend only on the content of the tree, not on times, owners and the umask of the checkout.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import re
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import escapes
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import (
    read_project,
    undeclared,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.python_request import (
    PIPFILE,
    VERSION_FILE,
    Declared,
    declared_pythons,
    locked_pythons,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.shared_paths import unshared
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import (
    PATH,
    SUBDIRECTORY,
    SourceError,
    shown_list,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.workspace import is_below, workspace_root

# nginx derives ETag and Last-Modified from the modification time of a file. A time that is derived from the content changes only with
# the content, and is the same on every host. It starts in 2000, because zip files, such as wheels, support no time before 1980.
FIRST_MTIME = 946_684_800
MTIME_RANGE = 2**29

# The pointer that `git lfs` leaves in place of a file that is not fetched: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
LFS_POINTER = re.compile(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\r?\n(?:[a-z0-9.-]+ [^\n]*\n)*?oid (?P<hash>[a-z0-9]+):(?P<oid>[0-9a-f]*)"
)
LFS_POINTER_BYTES = 1024
# The start of a uv.lock, before its packages.
LOCK_HEAD_BYTES = 1024
SUBMODULE_PATH = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.MULTILINE)


class Entry(NamedTuple):
    """A file, a directory or a symlink of a tree; ``name`` is relative to its root."""

    name: str
    kind: str
    executable: bool = False
    target: str = ""
    open: Callable[[], BinaryIO] | None = None


class Tree(NamedTuple):
    """The properties of a packed tree.

    ``project`` is the content of the pyproject.toml in ``subdirectory``. ``workspace`` is the root of the uv workspace that contains the
    project, None if there is none.
    ``pointers`` are its Git LFS pointers, ``submodules`` the paths in its .gitmodules files, ``pythons`` the versions that
    it declares. ``shared`` are paths of the app that become symlinks to the shared directory.
    """

    digest: str
    project: dict[str, Any]
    files: list[str]
    directories: set[str]
    pointers: list[str]
    submodules: list[str]
    pythons: list[Declared]
    subdirectory: str = ""
    workspace: str | None = None
    shared: Sequence[str] = ()

    def is_empty(self, directory: str) -> bool:
        return not any(name.startswith(f"{directory}/") for name in self.files)

    @property
    def version(self) -> str:
        version = self.project.get("project", {}).get("version", "")
        return version if isinstance(version, str) else ""

    @property
    def app_files(self) -> list[str]:
        """The files of the app, relative to its subdirectory, with the uv.lock of its workspace."""
        prefix = f"{self.subdirectory}/" if self.subdirectory else ""
        found = [name.removeprefix(prefix) for name in self.files if name.startswith(prefix)]
        # In a workspace, uv reads only the lock file at its root.
        lock = self.workspace is not None and posixpath.join(self.workspace, "uv.lock") in self.files
        return [*found, "uv.lock"] if lock and "uv.lock" not in found else found

    def undeclared(self, dependencies: dict[str, Any]) -> Sequence[str]:
        """Return the doubt about missing *dependencies*, which is empty if the tree declares them, even as an empty list."""
        declares = dependencies["by"] not in ("nothing", "list") or "dependencies" in self.project.get("project", {})
        return () if declares or dependencies.get("requirements") else undeclared(self.app_files, self.subdirectory)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return *entries* in the order of directory_entries() and archive_entries()."""
    return sorted(entries, key=lambda entry: os.fsencode(entry.name).split(b"/"))


def excluded(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a pattern matches *name*. Patterns with a slash match the whole path, others only its last component."""
    for pattern in patterns:
        wanted = pattern.strip("/")
        if fnmatchcase(name if "/" in wanted or pattern.startswith("/") else name.rsplit("/", 1)[-1], wanted):
            return True
    return False


def directory_entries(root: Path, exclude: Sequence[str]) -> Iterator[Entry]:
    """Yield the entries of the directory *root*, sorted."""
    yield from _walk(root, "", exclude)


def _walk(root: Path, prefix: str, exclude: Sequence[str]) -> Iterator[Entry]:
    with os.scandir(root / prefix) as found:
        items = sorted(found, key=lambda item: os.fsencode(item.name))
    for item in items:
        name = f"{prefix}{item.name}"
        if excluded(name, exclude):
            continue
        mode = item.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            target = str(Path(item.path).readlink())
            if not (root / name).resolve().is_relative_to(root):
                raise _outside(PATH, name, target)
            yield Entry(name, "link", target=target)
        elif stat.S_ISDIR(mode):
            yield Entry(name, "directory")
            yield from _walk(root, f"{name}/", exclude)
        elif stat.S_ISREG(mode):
            yield Entry(name, "file", bool(mode & stat.S_IXUSR), open=partial(Path(item.path).open, "rb"))
        else:
            fault = f"holds {name!r}, which is neither a file, a directory nor a symlink"
            raise SourceError("source-special-file", PATH, fault, "remove it, or list it in asgi_app_exclude_extra")


def archive_entries(tar: tarfile.TarFile, exclude: Sequence[str], prefix: str = "") -> Iterator[Entry]:
    """Yield the entries of an archive that git exported, sorted and with *prefix* before their names."""
    left_out: set[str] = set()
    for member in sorted(tar.getmembers(), key=lambda m: os.fsencode(m.name).split(b"/")):
        name = f"{prefix}{member.name}"
        if name.rpartition("/")[0] in left_out or excluded(name, exclude):
            left_out.add(name)
        elif member.issym():
            yield Entry(name, "link", target=member.linkname)
        elif member.isdir():
            yield Entry(name, "directory")
        elif member.isreg():
            executable = bool(member.mode & stat.S_IXUSR)
            yield Entry(name, "file", executable, open=partial(tar.extractfile, member))


def pack(
    entries: Iterable[Entry], archive: Path, variable: str, subdirectory: str = "", shared: Sequence[str] = ()
) -> Tree:
    """Write *entries* to *archive*; raise a SourceError about *variable* if they are not a valid source tree.

    The project is in *subdirectory*. The other directories are packed too, because the project may need them. The paths *shared* are not
    packed.
    """
    digest = hashlib.sha256()
    projects: dict[str, bytes] = {}
    version_files: dict[str, bytes] = {}
    locks: dict[str, bytes] = {}
    pipfile = b""
    files: list[str] = []
    directories: set[str] = set()
    links: dict[str, str] = {}
    pointers: list[str] = []
    submodules: list[str] = []
    temporary = archive.with_name(f"{archive.name}.new")
    with (
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in unshared(entries, shared, subdirectory):
            member = tarfile.TarInfo(entry.name)
            member.mode = 0o755 if entry.executable or entry.kind == "directory" else 0o644
            member.mtime = FIRST_MTIME
            content = ""
            if entry.kind == "directory":
                directories.add(entry.name)
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif entry.kind == "link":
                links[entry.name] = entry.target
                member.type = tarfile.SYMTYPE
                member.linkname = content = entry.target
                tar.addfile(member)
            else:
                files.append(entry.name)
                with entry.open() as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                    member.size = file.seek(0, os.SEEK_END)
                    member.mtime = FIRST_MTIME + int(content[:8], 16) % MTIME_RANGE
                    file.seek(0)
                    tar.addfile(member, file)
                    if member.size < LFS_POINTER_BYTES:
                        file.seek(0)
                        if is_lfs_pointer(file.read()):
                            pointers.append(entry.name)
                    parent, _slash, name = entry.name.rpartition("/")
                    if name == ".gitmodules":
                        file.seek(0)
                        submodules += submodule_paths(parent, file.read())
                    if name == "pyproject.toml" and is_below(subdirectory, parent):
                        file.seek(0)
                        projects[parent] = file.read()
                    if name == VERSION_FILE and is_below(subdirectory, parent):
                        file.seek(0)
                        version_files[parent] = file.read()
                    if name == "uv.lock" and parent != subdirectory and is_below(subdirectory, parent):
                        file.seek(0)
                        locks[parent] = file.read(LOCK_HEAD_BYTES)
                    if name == PIPFILE and parent == subdirectory:
                        file.seek(0)
                        pipfile = file.read()
            line = "\0".join((entry.kind, entry.name, oct(member.mode), content))
            digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    for name, target in links.items():
        if escapes(name, links.get):
            raise _outside(variable, name, target)
    if not files:
        raise SourceError(
            "source-empty",
            variable,
            "holds no file",
            "set the directory of the application; see asgi_app_exclude",
        )
    if subdirectory and subdirectory not in directories:
        raise _no_subdirectory(subdirectory, files, links, directories)
    temporary.replace(archive)
    parsed = {directory: read_project(text, variable) for directory, text in projects.items()}
    project = parsed.get(subdirectory, {})
    workspace = workspace_root(subdirectory, parsed)
    if subdirectory:
        digest.update(f"subdirectory\0{subdirectory}\n".encode("utf-8", "surrogateescape"))
    for path in shared:
        digest.update(f"shared\0{path}\n".encode())
    return Tree(
        digest=digest.hexdigest(),
        project=project,
        files=files,
        directories=directories,
        pointers=pointers,
        submodules=submodules,
        # As uv does, use the nearest file in the directory of the project and those above it, and the lock of the workspace.
        pythons=[
            *declared_pythons(
                project, version_files[max(version_files, key=len)] if version_files else b"", variable, pipfile
            ),
            *locked_pythons(locks.get(workspace, b"") if workspace is not None else b""),
        ],
        subdirectory=subdirectory,
        workspace=workspace,
        shared=shared,
    )


def _no_subdirectory(
    subdirectory: str, files: Iterable[str], links: Iterable[str], directories: Iterable[str]
) -> SourceError:
    """Return the error for a *subdirectory* that the packed tree does not contain as a directory."""
    if subdirectory in links:
        fault = "which is a symlink in the source"
    elif subdirectory in files:
        fault = "which is a file in the source"
    else:
        fault = "which the source does not contain, or which asgi_app_exclude removes"
    existing = sorted(name for name in directories if "/" not in name)
    remedy = f"set an existing directory{f', such as {shown_list(existing)}' if existing else ''}"
    return SourceError("source-subdirectory-missing", SUBDIRECTORY, f"is {subdirectory!r}, {fault}", remedy)


def is_lfs_pointer(content: bytes) -> bool:
    return len(content) < LFS_POINTER_BYTES and bool(LFS_POINTER.match(content))


def lfs_object(content: bytes) -> str:
    """Return the SHA-256 of the file that the Git LFS pointer *content* represents, empty if it is not a pointer."""
    found = LFS_POINTER.match(content) if len(content) < LFS_POINTER_BYTES else None
    return found["oid"].decode() if found and found["hash"] == b"sha256" and len(found["oid"]) == 64 else ""


def submodule_paths(parent: str, gitmodules: bytes) -> list[str]:
    """Return the paths of the submodules in the .gitmodules file of the directory *parent*, relative to the root."""
    paths = (path.strip('"') for path in SUBMODULE_PATH.findall(gitmodules.decode("utf-8", "surrogateescape")))
    return [posixpath.normpath(posixpath.join(parent, path)) for path in paths]


def _outside(variable: str, name: str, target: str) -> SourceError:
    fault = f"contains the symlink {name!r} to {target!r}, which leads out of the tree"
    return SourceError(
        "symlink-outside-source",
        variable,
        fault,
        "make it a relative link within the tree, or list it in asgi_app_exclude_extra",
    )
