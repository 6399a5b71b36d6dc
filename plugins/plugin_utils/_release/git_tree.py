# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the files of a commit, with those of its submodules and of Git LFS, and with the versions of its projects."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.git_repository import GitRepository
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.scm_version import Versioned, add_versions
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import GIT, SourceError, shown
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_tree import (
    LFS_POINTER_BYTES,
    Entry,
    archive_entries,
    excluded,
    in_order,
    lfs_object,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.submodules import (
    Refused,
    Submodule,
    joined,
    submodule_url,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import (
    GIT_INSECURE,
    GIT_SECURE,
    REMEDY,
    described,
    insecure_urls,
)

# More than any legitimate source; a repository can be its own submodule.
DEPTH_LIMIT = 10


class GitTree:
    """Reads trees of repositories, and keeps files in *place* open until *stack* is closed."""

    def __init__(self, place: Path, exclude: Sequence[str], recurse: bool, insecure: bool, stack: ExitStack) -> None:
        self.place = place
        self.exclude = exclude
        self.recurse = recurse
        self.insecure = insecure
        self.stack = stack
        # Submodules that are not fetched, and are therefore empty.
        self.empty: list[str] = []
        self._count = 0

    def open(self, url: str, ref: str) -> GitRepository:
        self._count += 1
        protocols = GIT_INSECURE if self.insecure else GIT_SECURE
        return GitRepository(url, ref, self.place / f"repository{self._count}", protocols)

    def read(self, repository: GitRepository, commit: str, prefix: str = "", depth: int = 0) -> Versioned:
        """Return the entries of *commit* below the directory *prefix*."""
        exported = repository.clone.with_suffix(".tar")
        repository.export(commit, exported)
        tar = self.stack.enter_context(tarfile.open(exported))  # noqa: SIM115 - the stack closes it
        exported.unlink()
        found = list(archive_entries(tar, self.exclude, prefix))
        directories = {entry.name for entry in found if entry.kind == "directory"}
        entries, versions, variables = add_versions(
            _with_objects(found, repository, commit, prefix), lambda _directory: partial(repository.describe, commit)
        )
        for submodule in repository.submodules(commit):
            path = joined(prefix, submodule.path)
            if path not in directories or excluded(path, self.exclude):
                continue
            if not self.recurse:
                self.empty.append(path)
                continue
            inner = self._read_submodule(repository.url, submodule, path, depth + 1)
            entries = in_order([*entries, *inner.entries])
            versions = {**versions, **inner.versions}
        return Versioned(entries, versions, variables)

    def _read_submodule(self, parent: str, submodule: Submodule, path: str, depth: int) -> Versioned:
        try:
            url = submodule_url(parent, submodule.url)
        except Refused as exc:
            raise _submodule_error(path, str(exc)) from exc
        if depth > DEPTH_LIMIT:
            raise _submodule_error(path, f"which is nested in {DEPTH_LIMIT} others")
        unsafe = insecure_urls(url)
        if unsafe and not self.insecure:
            fault = f"has the submodule {shown(path)} at {described(unsafe)}, which does not authenticate the server"
            raise SourceError("transport-insecure", GIT, fault, REMEDY)
        repository = self.open(url, submodule.commit)
        try:
            commit = repository.fetch()
        except SourceError as exc:
            subject = "repository" if exc.variable == GIT else "commit"
            raise _submodule_error(path, f"whose {subject} {exc.fault}") from exc
        return self.read(repository, commit, f"{path}/", depth)


def _with_objects(entries: list[Entry], repository: GitRepository, commit: str, prefix: str) -> Iterator[Entry]:
    """Yield *entries* with the files of Git LFS in place of their pointers, if the controller has git-lfs."""
    pointers = {entry.name: oid for entry in entries if entry.open and (oid := _object(entry))}
    if pointers and repository.has_lfs():
        names = [name.removeprefix(prefix) for name in pointers]
        objects = repository.fetch_lfs(commit, names, list(pointers.values()))
        entries = [
            entry._replace(open=partial(objects[pointers[entry.name]].open, "rb")) if entry.name in pointers else entry
            for entry in entries
        ]
    yield from entries


def _object(entry: Entry) -> str:
    with entry.open() as file:
        return lfs_object(file.read(LFS_POINTER_BYTES))


def _submodule_error(path: str, fault: str) -> SourceError:
    remedy = f"make its commit available to the controller, or add {shown(path)} to asgi_app_exclude_extra"
    return SourceError("git-submodule-failed", GIT, mask_urls(f"has the submodule {shown(path)}, {fault}"), remedy)
