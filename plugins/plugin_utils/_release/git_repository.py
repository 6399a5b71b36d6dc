# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch one commit of a git repository on the controller."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import last_lines, mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import GIT, REF, SourceError

GIT_SECONDS = 300
# Variables that make git use another repository: those that `git rev-parse --local-env-vars` lists, and those that git sets for hooks,
# because a hook may run Ansible. Variables that configure git are kept.
GIT_LOCAL_VARIABLES = re.compile(
    r"GIT_(?:DIR|WORK_TREE|IMPLICIT_WORK_TREE|COMMON_DIR|INDEX_FILE|GRAFT_FILE|SHALLOW_FILE|OBJECT_DIRECTORY|PREFIX"
    r"|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE|QUARANTINE_PATH|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|INTERNAL_.*"
    r"|ALLOW_PROTOCOL|PROTOCOL_FROM_USER)"
)
FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
# Invalid according to git-check-ref-format(1), or part of a refspec or an option.
BAD_REF = re.compile(r"^[-+/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock$")


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

    def submodules(self, commit: str) -> list[str]:
        """Return the paths of the submodules of *commit*."""
        entries = self._run("ls-tree", "-r", "-z", commit).split("\0")
        return [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]

    def _commit(self, name: str) -> str:
        return self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def _run(self, *arguments: str, inside: bool = True) -> str:
        where = ["-C", str(self.clone)] if inside else []
        environment = {
            **{key: value for key, value in os.environ.items() if not GIT_LOCAL_VARIABLES.fullmatch(key)},
            "GIT_TERMINAL_PROMPT": "0",
            # git applies this list to redirects and to the operator's url.<base>.insteadOf too.
            "GIT_ALLOW_PROTOCOL": self.protocols,
            # git-archive(1) runs filters; the filter of LFS would contact the server in .lfsconfig.
            "GIT_LFS_SKIP_SMUDGE": "1",
            "LC_ALL": "C",
        }
        environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        try:
            done = subprocess.run(
                ["git", "-c", "gc.auto=0", *where, *arguments],
                env=environment,
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
            raise self._error(arguments[0], mask_urls(done.stderr))
        return done.stdout

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
