# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn asgi_app_source into bytes and a digest, on the controller, once in a run.

Every host of a run gets the same archive, even if the tree or the branch moves meanwhile. A tree gives the same archive
and digest wherever it is: neither times, owners nor the umask it was checked out with have a part in it.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import stat
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.release import (
    last_lines,
    mask_urls,
    safe_label,
    without_credentials,
)
from ansible_collections.asgi.deploy.plugins.module_utils.release_archive import escapes

VARIABLE = "asgi_app_source"
PATH, GIT, REF, PACKAGE = (f"{VARIABLE}.{key}" for key in ("path", "git", "ref", "package"))

GIT_SECONDS = 300
GIT_PROTOCOLS = "file:git:http:https:ssh"
FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
# git-check-ref-format(1), plus what would make a refspec or an option of it
BAD_REF = re.compile(r"^[-+/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock$")

REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"\s*(?P<extras>\[\s*[A-Za-z0-9._-]+(?:\s*,\s*[A-Za-z0-9._-]+)*\s*\])?"
    r"\s*==\s*(?P<version>[0-9][A-Za-z0-9]*(?:[.!+_-][A-Za-z0-9]+)*)\s*"
)

# Times of files in an archive: derived from the content, so that nginx's ETag and Last-Modified change with it and only
# with it, on every host alike. From the year 2000 on, as zip files (wheels) know no time before 1980.
FIRST_MTIME = 946_684_800
MTIME_RANGE = 2**29


class SourceError(Exception):
    """The source cannot be used: which variable, what is wrong with its value, what would be right."""

    def __init__(self, variable: str, fault: str, remedy: str) -> None:
        fault = mask_urls(fault)
        super().__init__(f"{variable} {fault} -> {remedy}")
        self.variable = variable
        self.fault = fault
        self.remedy = remedy


@dataclass(frozen=True)
class Resolved:
    """A source whose content is known.

    ``archive`` is a file on the controller, None for a package. ``dependencies`` says how the tree declares its
    own: ``by`` is lock, requirements, project (to be installed itself), list (its ``requirements``) or nothing.
    """

    kind: str
    label: str
    digest: str
    archive: str | None = None
    dependencies: dict[str, Any] = field(default_factory=lambda: {"by": "nothing"})
    details: dict[str, str] = field(default_factory=dict)


def normalise(source: dict[str, Any], find: Callable[[str], Path]) -> dict[str, str]:
    """Return *source* without what is not set, a local path in it as *find* sees it on the controller."""
    given = {key: str(value) for key, value in source.items() if value is not None}
    if "path" in given:
        given["path"] = str(find(given["path"]))
    if "git" in given and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:|-", given["git"]):
        given["git"] = str(find(given["git"]))
    return given


def resolve(source: dict[str, str], exclude: Sequence[str], directory: str | os.PathLike[str]) -> Resolved:
    """Return what the normalised *source* is now, or was when it was first asked for in this *directory*.

    Raises SourceError. Processes that ask for the same at once wait for the first one's answer.
    """
    return Resolved(
        **once(directory, "source", [source, sorted(exclude)], lambda at: asdict(_resolve(source, exclude, at)))
    )


def once(
    directory: str | os.PathLike[str], kind: str, question: Any, answer: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Return what *answer* says, or said when this *question* was first asked in this *directory*, of all processes.

    It is given a directory of its own, which stays. A SourceError is an answer too, so that a fleet fails at once.
    """
    key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]
    place = Path(directory) / f"asgi_{kind}s" / key
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = place / "answer.json"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            try:
                found = {"answer": answer(place)}
            except SourceError as exc:
                found = {"error": [exc.variable, exc.fault, exc.remedy]}
            told.write_text(json.dumps(found), encoding="utf-8")
    found = json.loads(told.read_text(encoding="utf-8"))
    if "error" in found:
        raise SourceError(*found["error"])
    return found["answer"]


def check_installer(resolved: Resolved, installer: str) -> None:
    """Raise SourceError if *installer* cannot install what *resolved* declares."""
    if installer == "pip" and resolved.dependencies["by"] == "lock":
        raise SourceError(
            "asgi_app_installer",
            "is 'pip', which cannot read the uv.lock of the source",
            "set asgi_app_installer to uv, or add uv.lock to asgi_app_exclude",
        )


def _resolve(source: dict[str, str], exclude: Sequence[str], place: Path) -> Resolved:
    if "package" in source:
        return _from_package(source["package"])
    if "path" in source:
        return _from_path(source["path"], exclude, place)
    return _from_git(source["git"], source.get("ref", ""), exclude, place)


def _from_package(requirement: str) -> Resolved:
    match = REQUIREMENT.fullmatch(requirement)
    if not match:
        raise SourceError(
            PACKAGE,
            f"is {requirement!r}, which is not one exact version of one package",
            "write it as name==version or name[extra]==version, for instance titiler.application==1.0.2",
        )
    extras = re.sub(r"\s", "", match["extras"] or "")
    requirement = f"{match['name']}{extras}=={match['version']}"
    digest = hashlib.sha256(requirement.encode()).hexdigest()
    return Resolved("package", safe_label(match["version"]), digest, details={"requirement": requirement})


def _from_path(path: str, exclude: Sequence[str], place: Path) -> Resolved:
    root = Path(path)
    if not root.is_dir():
        fault = "is not a directory" if root.exists() else "does not exist on the controller"
        raise SourceError(PATH, f"is {path!r}, which {fault}", "give the directory that the application is in")
    try:
        tree = pack(directory_entries(root.resolve(), exclude), place / "source.tar.gz", PATH)
    except (OSError, RuntimeError) as exc:  # RuntimeError: a loop of symlinks
        raise SourceError(PATH, f"cannot be read: {exc}", "make it readable, or list it in asgi_app_exclude") from exc
    return Resolved("path", tree.version or "src", tree.digest, str(place / "source.tar.gz"), tree.dependencies)


def _from_git(url: str, ref: str, exclude: Sequence[str], place: Path) -> Resolved:
    if url.startswith("-") or not url.isprintable():
        raise SourceError(GIT, f"is {mask_urls(url)!r}, which is no address of a repository", "give its URL")
    if not ref or BAD_REF.search(ref):
        raise SourceError(
            REF, f"is {ref!r}, which names nothing in a repository", "give a branch, a tag or a commit id"
        )
    git = _Git(url, ref, place / "repository")
    commit = git.fetch()
    exported = place / "exported.tar"
    git.export(commit, exported)
    with tarfile.open(exported) as tar:
        tree = pack(archive_entries(tar, exclude), place / "source.tar.gz", GIT)
    exported.unlink()
    details = {"url": without_credentials(url), "ref": ref, "commit": commit}
    return Resolved("git", commit[:10], tree.digest, str(place / "source.tar.gz"), tree.dependencies, details)


class _Git:
    """The one ref of a repository, in a bare clone of no more than that where the server allows it."""

    def __init__(self, url: str, ref: str, clone: Path) -> None:
        self.url = url
        self.ref = ref
        self.clone = clone

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
        # a server need not hand out a commit by its id: look for it in everything that has a name
        self._run("fetch", *options, "--", self.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        return self._commit(self.ref)

    def export(self, commit: str, archive: Path) -> None:
        self._run("archive", "--format=tar", f"--output={archive}", commit)

    def _commit(self, name: str) -> str:
        return self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def _run(self, *arguments: str, inside: bool = True) -> str:
        where = ["-C", str(self.clone)] if inside else []
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GIT_DIR")},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": GIT_PROTOCOLS,
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
            raise SourceError(GIT, "needs git on the controller", "install git there, or use path") from exc
        except subprocess.TimeoutExpired as exc:
            fault = f"did not answer within {GIT_SECONDS} s: {mask_urls(self.url)}"
            raise SourceError(GIT, fault, "see whether the controller reaches it") from exc
        if done.returncode:
            raise self._error(arguments[0], mask_urls(done.stderr))
        return done.stdout

    def _error(self, command: str, stderr: str) -> SourceError:
        shown = mask_urls(self.url)
        unknown_ref = re.search(r"couldn't find remote ref|not our ref|unadvertised object|not a commit", stderr)
        if unknown_ref or command == "rev-parse":
            remedy = "give a branch, a tag or a commit id that is there"
            if SHORT_COMMIT.fullmatch(self.ref):
                remedy = "give the full id of the commit (40 characters), or a branch or a tag that is there"
            return SourceError(REF, f"is {self.ref!r}, which does not exist in {shown}", remedy)
        said = last_lines(stderr, 3).replace("\n", "; ")
        remedy = "give a repository that the controller can read without being asked for a password"
        return SourceError(GIT, f"is {shown}, which cannot be fetched: {said}", remedy)


class Entry(NamedTuple):
    """A file, a directory or a symlink of a tree; ``name`` is relative to its root."""

    name: str
    kind: str
    executable: bool = False
    target: str = ""
    open: Callable[[], BinaryIO] | None = None


class Tree(NamedTuple):
    """What a packed tree turned out to be."""

    digest: str
    dependencies: dict[str, Any]
    version: str


def excluded(name: str, patterns: Iterable[str]) -> bool:
    """Return whether *name*, relative to the root, is left out: by its last part, or by a pattern with a slash."""
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
            raise SourceError(PATH, fault, "remove it, or list it in asgi_app_exclude")


def archive_entries(tar: tarfile.TarFile, exclude: Sequence[str]) -> Iterator[Entry]:
    """Yield the entries of what git exported, sorted."""
    left_out: set[str] = set()
    for member in sorted(tar.getmembers(), key=lambda m: os.fsencode(m.name).split(b"/")):
        parent = member.name.rpartition("/")[0]
        if parent in left_out or excluded(member.name, exclude):
            left_out.add(member.name)
        elif member.issym():
            yield Entry(member.name, "link", target=member.linkname)
        elif member.isdir():
            yield Entry(member.name, "directory")
        elif member.isreg():
            executable = bool(member.mode & stat.S_IXUSR)
            yield Entry(member.name, "file", executable, open=partial(tar.extractfile, member))


def pack(entries: Iterable[Entry], archive: Path, variable: str) -> Tree:
    """Write *entries* to *archive*; raise SourceError that names *variable* if they are no source tree."""
    whole = hashlib.sha256()
    top: dict[str, bytes] = {}
    files = 0
    temporary = archive.with_name(f"{archive.name}.new")
    with (
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.mode = 0o755 if entry.executable or entry.kind == "directory" else 0o644
            member.mtime = FIRST_MTIME
            content = ""
            if entry.kind == "directory":
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif entry.kind == "link":
                if escapes(entry.name, entry.target):
                    raise _outside(variable, entry.name, entry.target)
                member.type = tarfile.SYMTYPE
                member.linkname = content = entry.target
                tar.addfile(member)
            else:
                files += 1
                with entry.open() as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                    member.size = file.tell()
                    member.mtime = FIRST_MTIME + int(content[:8], 16) % MTIME_RANGE
                    file.seek(0)
                    tar.addfile(member, file)
                    if "/" not in entry.name:
                        file.seek(0)
                        top[entry.name] = file.read() if entry.name == "pyproject.toml" else b""
            line = "\0".join((entry.kind, entry.name, oct(member.mode), content))
            whole.update(line.encode("utf-8", "surrogateescape") + b"\n")
    if not files:
        raise SourceError(variable, "holds no file", "give the tree that the application is in; see asgi_app_exclude")
    temporary.replace(archive)
    project = _read_project(top, variable)
    version = project.get("project", {}).get("version", "")
    return Tree(whole.hexdigest(), declared(top, project, variable), version if isinstance(version, str) else "")


def declared(names: Iterable[str], project: dict[str, Any], variable: str) -> dict[str, Any]:
    """Return how a tree with the top-level files *names* and this pyproject.toml declares what it depends on."""
    names = set(names)
    if "uv.lock" in names:
        if "pyproject.toml" not in names:
            raise SourceError(variable, "holds a uv.lock without a pyproject.toml", "add the project's pyproject.toml")
        return {"by": "lock"}
    if "requirements.txt" in names:
        return {"by": "requirements"}
    metadata = project.get("project", {})
    dynamic = "dependencies" in metadata.get("dynamic", [])
    if "build-system" in project or "setup.py" in names or dynamic:
        return {"by": "project"}
    if metadata:
        return {"by": "list", "requirements": list(metadata.get("dependencies", []))}
    return {"by": "nothing"}


def _read_project(top: dict[str, bytes], variable: str) -> dict[str, Any]:
    try:
        return tomllib.loads(top.get("pyproject.toml", b"").decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SourceError(variable, f"holds a pyproject.toml that is not valid: {exc}", "correct that file") from exc


def _outside(variable: str, name: str, target: str) -> SourceError:
    fault = f"holds the symlink {name!r} to {target!r}, which is outside of the tree"
    return SourceError(variable, fault, "make it a relative link within the tree, or list it in asgi_app_exclude")
