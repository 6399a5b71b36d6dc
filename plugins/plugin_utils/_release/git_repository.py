# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read commits and tags of git repositories on the controller."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import last_lines, mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.scm_version import (
    Described,
    matching,
    parse_describe,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import GIT, REF, SourceError, shown
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.submodules import Submodule, is_local
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import REMEDY, described, insecure_urls

GIT_SECONDS = 300
# Variables that make git use another repository: those that `git rev-parse --local-env-vars` lists, and those that git sets for hooks,
# because a hook may run Ansible. Variables that configure git are kept.
GIT_LOCAL_VARIABLES = re.compile(
    r"GIT_(?:DIR|WORK_TREE|IMPLICIT_WORK_TREE|COMMON_DIR|INDEX_FILE|GRAFT_FILE|SHALLOW_FILE|OBJECT_DIRECTORY|PREFIX"
    r"|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE|QUARANTINE_PATH|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|INTERNAL_.*"
    r"|ALLOW_PROTOCOL|PROTOCOL_FROM_USER)"
)
# More names would exceed the length of a command line; then the files of the whole commit are fetched.
LFS_NAMES = 500
FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
# Invalid according to git-check-ref-format(1), or part of a refspec or an option.
BAD_REF = re.compile(r"^[-+/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock$")


class Checkout:
    """The working tree of the operator that contains *directory*. git only reads it, and runs no programs of its configuration."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def describe(self, match: Sequence[str]) -> Described | None:
        """Return the description of HEAD, regardless of uncommitted changes; None if the directory is in no repository or not tracked."""
        patterns = [f"--match={pattern}" for pattern in match]
        try:
            if not self._run("ls-files", "-z", "--", "."):
                return None
            commit, date = self._run("show", "--no-patch", "--format=%H %cI", "HEAD").split()
            try:
                text = self._run("describe", "--tags", "--long", "--abbrev=40", *patterns, commit)
            except subprocess.CalledProcessError:
                return Described(commit, date, "", int(self._run("rev-list", "--count", commit)))
        except (OSError, subprocess.SubprocessError):
            return None
        return parse_describe(text, commit, date)

    def _run(self, *arguments: str) -> str:
        options = ["-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "log.showSignature=false"]
        return subprocess.run(
            ["git", *options, "-C", str(self.directory), *arguments],
            env=_environment(""),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
            check=True,
        ).stdout


def _environment(protocols: str) -> dict[str, str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not GIT_LOCAL_VARIABLES.fullmatch(key)},
        "GIT_TERMINAL_PROMPT": "0",
        # git applies this list to redirects and to the operator's url.<base>.insteadOf too.
        "GIT_ALLOW_PROTOCOL": protocols,
        # git-archive(1) runs filters; the filter of LFS would contact the server in .lfsconfig.
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    return environment


def _lfs_error(fault: str) -> SourceError:
    remedy = (
        "push the files with `git lfs push --all`, or add paths that the app does not need to asgi_app_exclude_extra"
    )
    return SourceError("git-lfs-failed", GIT, fault, remedy)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_ref(ref: str) -> None:
    if not ref or BAD_REF.search(ref):
        raise SourceError(
            "git-ref-invalid", REF, f"is {ref!r}, which is not a valid ref", "set a branch, a tag or a commit id"
        )


class GitRepository:
    """A bare repository in the directory *clone* with the commit of *ref*, and without its history if the server supports that."""

    def __init__(self, url: str, ref: str, clone: Path, protocols: str) -> None:
        self.url = url
        self.ref = ref
        self.clone = clone
        self.protocols = protocols

    def fetch(self) -> str:
        """Fetch the ref and return the id of its commit."""
        self._run("init", "--quiet", "--bare", "--template=", str(self.clone), inside=False)
        options = ("--quiet", "--no-tags", "--no-recurse-submodules")
        try:
            self._run("fetch", *options, "--depth=1", "--", self.url, self.ref)
            return self._commit("FETCH_HEAD")
        except SourceError:
            if not FULL_COMMIT.fullmatch(self.ref):
                raise
        # Servers may refuse to send a commit by its id, so fetch all branches and tags.
        self._run("fetch", *options, "--", self.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        return self._commit(self.ref)

    def export(self, commit: str, archive: Path) -> None:
        self._run("archive", "--format=tar", f"--output={archive}", commit)

    def submodules(self, commit: str) -> list[Submodule]:
        """Return the submodules of *commit*, with their URLs from its .gitmodules."""
        entries = self._run("ls-tree", "-r", "-z", commit).split("\0")
        found = [entry.partition("\t") for entry in entries if entry.startswith("160000 ")]
        urls = self._submodule_urls(commit) if found else {}
        return [Submodule(path, about.split()[2], urls.get(path)) for about, _tab, path in found]

    def _submodule_urls(self, commit: str) -> dict[str, str]:
        settings = self._settings(commit, ".gitmodules")
        names = {value: key.removesuffix(".path") for key, value in settings.items() if key.endswith(".path")}
        return {path: settings[f"{name}.url"] for path, name in names.items() if f"{name}.url" in settings}

    def _settings(self, commit: str, name: str) -> dict[str, str]:
        """Return the settings in the configuration file *name* of *commit*."""
        try:
            text = self._run("config", "--blob", f"{commit}:{name}", "--null", "--list")
        except SourceError:
            return {}
        pairs = (setting.partition("\n") for setting in text.split("\0") if setting)
        return {key: value for key, _line, value in pairs}

    @staticmethod
    def has_lfs() -> bool:
        return shutil.which("git-lfs") is not None

    def fetch_lfs(self, commit: str, names: Sequence[str], objects: Sequence[str]) -> dict[str, Path]:
        """Fetch the *objects* of Git LFS that the files *names* of *commit* represent, and return their paths.

        The pointers in the repository contain the digests of the objects, so the transport of the objects need not be secure.
        """
        storage = self.clone / "lfs"
        server = self._settings(commit, ".lfsconfig").get("lfs.url")
        settings = {"lfs.storage": str(storage), "remote.origin.url": self.url}
        if server:
            settings["lfs.url"] = self._lfs_server(server)
        # Not with -c, which would also apply to a repository on the controller that contains the objects.
        for key, value in settings.items():
            self._run("config", key, value)
        plain = len(names) <= LFS_NAMES and not any(re.search(r"[^\w./ @+-]", name) for name in names)
        include = f"--include={','.join(names)}" if plain else "--include="
        self._run("lfs", "fetch", include, "--exclude=", "origin", commit, lfs=True)
        found = {each: storage / "objects" / each[:2] / each[2:4] / each for each in objects}
        for name, each in zip(names, objects, strict=True):
            if not found[each].is_file() or _sha256(found[each]) != each:
                raise _lfs_error(f"holds the Git LFS pointer {shown(name)}, whose file the server does not have")
        return found

    def _lfs_server(self, server: str) -> str:
        """Return the URL of the LFS server in the repository's own configuration, which is not trusted."""
        if not re.fullmatch(r"(?:https|ssh|file|http)://\S+", server) or (is_local(server) and not is_local(self.url)):
            raise _lfs_error(f"has {mask_urls(server)!r} as the LFS server in .lfsconfig, which is not a URL")
        if insecure_urls(server) and "http" not in self.protocols.split(":"):
            fault = f"has the LFS server {described(insecure_urls(server))}, which does not authenticate itself"
            raise SourceError("transport-insecure", GIT, fault, REMEDY)
        return server

    def describe(self, commit: str, match: Sequence[str]) -> Described:
        """Return the description of *commit* with the nearest tag that matches one of the patterns."""
        date = self._run("show", "--no-patch", "--format=%cI", commit).strip()
        tags = [tag for tag in self._tags_of(commit) if matching(tag, match)]
        name = self.ref.removeprefix("refs/tags/")
        if name in tags or len(tags) == 1:
            return Described(commit, date, name if name in tags else tags[0], 0)
        # Fetch the history even with several tags, so that git selects the same one as in a checkout: the newest annotated one.
        history = GitRepository(self.url, self.ref, self.clone.with_name(f"{self.clone.name}-history"), self.protocols)
        history.fetch_history()
        return history.nearest(commit, date, match)

    def fetch_history(self) -> None:
        """Fetch the tags and the commits of the ref, without their files if the server supports that."""
        if self.clone.exists():
            return
        self._run("init", "--quiet", "--bare", "--template=", str(self.clone), inside=False)
        options = ("--quiet", "--no-recurse-submodules", "--filter=tree:0", "--", self.url, "+refs/tags/*:refs/tags/*")
        try:
            self._run("fetch", *options, f"+{self.ref}:refs/asgi/ref")
        except SourceError:
            if not FULL_COMMIT.fullmatch(self.ref):
                raise
            self._run("fetch", *options, "+refs/heads/*:refs/heads/*")

    def nearest(self, commit: str, date: str, match: Sequence[str]) -> Described:
        patterns = [f"--match={pattern}" for pattern in match]
        try:
            text = self._run("describe", "--tags", "--long", "--abbrev=40", *patterns, commit)
        except SourceError:
            return Described(commit, date, "", int(self._run("rev-list", "--count", commit)))
        return parse_describe(text, commit, date)

    def _tags_of(self, commit: str) -> list[str]:
        """Return the tags of *commit*; the server lists annotated tags a second time, with the commit."""
        lines = self._run("ls-remote", "--tags", "--quiet", "--", self.url).splitlines()
        names = [name for line in lines for found, _tab, name in [line.partition("\t")] if found == commit]
        return [name.removeprefix("refs/tags/").removesuffix("^{}") for name in names]

    def _commit(self, name: str) -> str:
        return self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def _run(self, *arguments: str, inside: bool = True, lfs: bool = False) -> str:
        where = ["-C", str(self.clone)] if inside else []
        try:
            done = subprocess.run(
                ["git", "-c", "gc.auto=0", *where, *arguments],
                env=_environment(self.protocols),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=GIT_SECONDS,
                check=False,
            )
        except FileNotFoundError as exc:
            raise SourceError(
                "git-not-installed", GIT, "needs git on the controller", "install git there, or use path"
            ) from exc
        except subprocess.TimeoutExpired as exc:
            fault = f"did not respond within {GIT_SECONDS} s: {mask_urls(self.url)}"
            raise SourceError("git-timeout", GIT, fault, "check the connection from the controller") from exc
        if done.returncode:
            stderr = mask_urls(done.stderr)
            raise self._lfs_failure(stderr) if lfs else self._error(arguments[0], stderr)
        return done.stdout

    def _lfs_failure(self, stderr: str) -> SourceError:
        output = last_lines(stderr, 3).replace("\n", "; ")
        return _lfs_error(f"is {mask_urls(self.url)}, whose Git LFS files cannot be fetched: {output}")

    def _error(self, command: str, stderr: str) -> SourceError:
        url = mask_urls(self.url)
        unknown_ref = re.search(r"couldn't find remote ref|not our ref|unadvertised object|not a commit", stderr)
        if unknown_ref or command == "rev-parse":
            remedy = "set an existing branch, tag or commit id"
            if SHORT_COMMIT.fullmatch(self.ref):
                remedy = "set the full id of the commit (40 characters), or an existing branch or tag"
            return SourceError("git-ref-not-found", REF, f"is {self.ref!r}, which does not exist in {url}", remedy)
        output = last_lines(stderr, 3).replace("\n", "; ")
        remedy = "use a repository that the controller can read without a password prompt"
        return SourceError("git-fetch-failed", GIT, f"is {url}, which cannot be fetched: {output}", remedy)
