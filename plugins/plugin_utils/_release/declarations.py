# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the files and servers that uv and pip would access for a source tree.

Requirements files, pyproject.toml, uv.toml and uv.lock can include files, and refer to indexes, paths and repositories. Files must
be inside the tree. Ambiguous syntax is rejected, because uv and pip parse it differently.
"""

from __future__ import annotations

import codecs
import posixpath
import re
import shlex
import tarfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from ansible_collections.asgi.deploy.plugins.module_utils._app.dependency_install import package_name
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import DEFAULT_FILE
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.lock_freshness import uv_lock_fault
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import insecure_urls, variables

_FILES = frozenset(["-r", "--requirement", "-c", "--constraint"])
_TARGETS = frozenset(
    ["-e", "--editable", "-f", "--find-links", "-i", "--index-url", "--pypi-url", "--extra-index-url", "--index"]
)
_TRUSTED = "--trusted-host"
_FLAGS = frozenset(["--no-index", "--prefer-binary", "--require-hashes", "--pre"])
_OF_A_REQUIREMENT = frozenset(["--hash", "--config-settings", "--config-setting", "-C", "--global-option"])
_OTHERS = _OF_A_REQUIREMENT | {"--no-binary", "--only-binary", "--use-feature", "--all-releases", "--only-final"}

_COMMENT = re.compile(r"(^|\s+)#.*$")
# An encoding declaration (PEP 263), as pip detects it.
_CODING = re.compile(r"#.*coding[:=]\s*([-\w.]+)")
_NAMED_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@\s*(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?=$|[<>=!~;,(])")
_SHA256 = re.compile(r"--hash[=\s]\s*[\"']?sha256:([0-9a-fA-F]{64})\b")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_MARKER = re.compile(r"\s+;.*|;\s.*", re.DOTALL)
# uv expands this variable to its working directory, which is the root of the tree.
_ROOT = re.compile(r"(?:file:///?)?\$\{PROJECT_ROOT\}/")

# Keys of [tool.uv], uv.toml and uv.lock whose values are paths or URLs of files.
_PATHS = frozenset(
    ["path", "find-links", "directory", "editable", "virtual", "cache-dir", "members", "target", "prefix"]
)
_ROOT_SOURCES = ("virtual", "editable", "directory")
_OF_DEVELOPMENT = frozenset(["dev-dependencies", "metadata"])
_LINK_LIMIT = 40
# More than any legitimate requirements or lock file.
_FILE_BYTES = 16 << 20


class Refused(Exception):
    """The tree refers to files outside of it, or cannot be checked. The exception contains the fault and the remedy."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.remedy = remedy


class Declared(NamedTuple):
    """Insecure transports in the files of a tree, as ``file: URL``, and environment variables that the installers expand."""

    insecure: list[str]
    variables: list[str]
    hashed: bool = False
    """Whether requirements files contain hashes, so that pip and uv require hashes for all requirements in one command."""
    hashes: Mapping[str, list[str]] = {}
    """The SHA-256 hashes in requirements, by the normalised name of the package."""
    outdated: str = ""
    """How a uv.lock differs from the pyproject.toml, empty if it does not."""


def read_declarations(
    archive: str, dependencies: Mapping[str, Any], subdirectory: str = "", workspace: str | None = None
) -> Declared:
    """Return the insecure transports and variables in the files of *archive* that the installers read, or raise Refused.

    *dependencies* determines these files, see Resolved. The project is in *subdirectory*, and *workspace* is the root of its uv workspace.
    """
    declared_by = dependencies["by"]
    root = subdirectory if workspace is None else workspace
    with tarfile.open(archive) as tar:
        reader = _Reader(_Tree(tar), subdirectory)
        if declared_by == "requirements":
            for name in dependencies.get("files", [DEFAULT_FILE]):
                reader.requirements(posixpath.join(subdirectory, name))
        for directory in dict.fromkeys([subdirectory, root]):
            # uv reads its settings for every kind of declaration.
            reader.project(posixpath.join(directory, "pyproject.toml"), with_sources=declared_by == "project")
            reader.settings(posixpath.join(directory, "uv.toml"))
        for line in dependencies.get("requirements", ()):
            # Requirements that were converted from other tables of pyproject.toml.
            reader.requirement(line, posixpath.join(subdirectory, "pyproject.toml"))
        outdated = ""
        if declared_by == "lock":
            outdated = reader.lock(
                posixpath.join(root, "uv.lock"),
                posixpath.relpath(subdirectory or ".", root or "."),
                reader.table(posixpath.join(subdirectory, "pyproject.toml")),
                dependencies.get("groups", ()),
            )
        elif declared_by == "pylock":
            reader.settings(posixpath.join(subdirectory, dependencies["file"]))
        return Declared(
            list(dict.fromkeys(reader.insecure)),
            list(dict.fromkeys(reader.variables)),
            reader.hashed,
            reader.hashes,
            outdated,
        )


def check_requirement(text: str) -> Declared:
    """Return the insecure transports and variables in the requirement *text*; raise Refused if it is not a single requirement."""
    reader = _Reader(None)
    reader.requirement(text, "it")
    return Declared(reader.insecure, reader.variables)


def add_hashes(hashes: dict[str, list[str]], line: str) -> None:
    """Add the SHA-256 hashes in the requirement *line* to *hashes*, by the normalised name of the package."""
    found = _SHA256.findall(line)
    if found:
        hashes.setdefault(package_name(line), []).extend(each.lower() for each in found)


class _Tree:
    """The files of an archive, by name relative to its root."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name: member for member in tar.getmembers()}

    def locate(self, path: str) -> str | None:
        """Return the name of *path*, relative to the root, with symlinks resolved; None if it leads out of the tree."""
        todo, done, links = path.split("/")[::-1], [], 0
        if path.startswith(("/", "~")):
            return None
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            member = self._members.get("/".join([*done, part]))
            if member is None or not member.issym():
                done.append(part)
                continue
            links += 1
            if links > _LINK_LIMIT or member.linkname.startswith("/"):
                return None
            todo += member.linkname.split("/")[::-1]
        return "/".join(done)

    def read(self, name: str) -> bytes | None:
        """Return the content of the file *name*, None if there is none."""
        member = self._members.get(self.locate(name) or "")
        if member is None or not member.isreg():
            return None
        if member.size > _FILE_BYTES:
            raise Refused(f"contains a {name} of {member.size >> 20} MiB", f"reduce it to {_FILE_BYTES >> 20} MiB")
        return self._tar.extractfile(member).read()


class _Reader:
    """Collects insecure transports and variables. Without a *tree*, references to files are rejected.

    The installers run in *directory*, relative to the root of the tree.
    """

    def __init__(self, tree: _Tree | None, directory: str = "") -> None:
        self.tree = tree
        self.directory = directory
        self.insecure: list[str] = []
        self.variables: list[str] = []
        self.hashed = False
        self.hashes: dict[str, list[str]] = {}
        self._read: set[tuple[str | None, str | None]] = set()

    # Requirements files

    def requirements(self, name: str) -> None:
        """Check the requirements file *name*, an unresolved path, and the files that it includes."""
        place = self.tree.locate(name), self.tree.locate(posixpath.dirname(name))
        if place in self._read:
            return
        self._read.add(place)
        content = self.tree.read(name)
        if content is not None:
            for line in _lines(_decoded(content, name)):
                self.line(line, name)

    def line(self, line: str, name: str) -> None:
        if line.startswith("-"):
            self._options(line, name)
        else:
            self.requirement(line, name)

    def _options(self, line: str, name: str) -> None:
        words = _words(line, name)
        while words:
            option, value = words.pop(0), None
            if option.startswith("--"):
                option, equals, rest = option.partition("=")
                value = rest if equals else None
            elif len(option) > 2:
                option, value = option[:2], option[2:]
            if option in _FLAGS and value is None:
                self.hashed |= option == "--require-hashes"
                continue
            if option not in _FILES | _TARGETS | _OTHERS | {_TRUSTED}:
                raise _unknown(name, option)
            if value is None:
                if not words:
                    raise Refused(f"has {option} without a value in {name}", "correct that line")
                value = words.pop(0)
            if option in _FILES | _TARGETS and re.search(r"[\"'\\]", line):
                raise Refused(f"has {line!r} in {name}, with quotes or backslashes", "write the path without them")
            if option in _FILES:
                self._include(option, value, name)
            elif option in _TARGETS:
                self.target(value, name)
            elif option == _TRUSTED:
                self.insecure.append(f"{name}: {_TRUSTED} {value}")

    def _include(self, option: str, value: str, name: str) -> None:
        shown = f"{option} {value}"
        value = _ROOT.sub("./", value)
        if _SCHEME.match(value) or "%" in value:
            fault = f"includes {_without_path(value)} in {name}, which is not in the tree"
            raise Refused(fault, "add a copy of that file to the tree, and include it by its path")
        # For a symlink, pip resolves includes relative to the symlink, other tools relative to its target.
        real = self.tree.locate(name) or name
        for directory in dict.fromkeys(posixpath.dirname(each) for each in (name, real)):
            path = posixpath.join(directory, value)
            self._inside(path, name, shown)
            self.requirements(path)

    def requirement(self, line: str, name: str) -> None:
        words = line.split()
        first = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
        for word in _words(" ".join(words[first:]), name):
            option = word.partition("=")[0]
            if option.startswith("-") and option[:2] != "-C" and option not in _OF_A_REQUIREMENT:
                raise _unknown(name, option)
            self.hashed |= option == "--hash"
        add_hashes(self.hashes, line)
        text = " ".join(words[:first])
        named = _NAMED_TARGET.fullmatch(text)
        if named:
            self.target(named[1], name)
        elif not _NAME.match(text) or "/" in _MARKER.sub("", text):
            self.target(text, name)
        else:
            self._note(text, name)

    def target(self, value: str, name: str) -> None:
        """Check a URL or path of packages."""
        value = _ROOT.sub("./", _MARKER.sub("", value.strip()))
        scheme = _SCHEME.match(value)
        kind = scheme[1].lower() if scheme else ""
        if kind.rpartition("+")[2] in ("", "file"):
            path = value[scheme.end() :].partition("#")[0] if scheme else value
            if self.tree is not None:
                # pip and uv resolve the path relative to different directories.
                for directory in (self.directory, posixpath.dirname(name)):
                    self._inside(posixpath.join(directory, path), name, value)
            elif not scheme:
                raise Refused(f"has {value!r}, which is a path", "write it as a requirement, such as orjson>=3.10")
        elif "+" in kind and "@-" in value:
            fault = f"has {_without_path(value)} in {name}, whose revision git would parse as an option"
            raise Refused(fault, "correct the revision")
        self._note(value, name)

    def _inside(self, path: str, name: str, shown: str) -> None:
        """Raise Refused if *path* in the file *name*, relative to the root, leads out of the tree."""
        if "${" in path or any(self.tree.locate(each) is None for each in (path, unquote(path))):
            fault = f"has {shown!r} in {name}, which is not in the tree"
            raise Refused(fault, "use a path inside the source tree, or install the package from an index")

    def _note(self, text: str, name: str) -> None:
        self.insecure += [f"{name}: {url}" for url in insecure_urls(text)]
        self.variables += [each for each in variables(text) if each != "PROJECT_ROOT"]

    # TOML

    def project(self, name: str, with_sources: bool) -> None:
        """Check a pyproject.toml. *with_sources* includes [tool.uv.sources], the sources of the project's dependencies for uv."""
        project = self.table(name)
        metadata, tools = _table(project.get("project")), _table(project.get("tool"))
        for part in (
            metadata.get("dependencies"),
            metadata.get("optional-dependencies"),
            _table(project.get("build-system")).get("requires"),
            project.get("dependency-groups"),
        ):
            for _key, text in _texts(part):
                self.requirement(text, name)
        for key in ("dependencies", "source"):
            for _key, text in _texts(_table(tools.get("poetry")).get(key)):
                self._note(text, name)
        settings = _table(tools.get("uv"))
        self._settings({key: value for key, value in settings.items() if with_sources or key != "sources"}, name)

    def settings(self, name: str) -> None:
        """Check a uv.toml."""
        self._settings(self.table(name), name)

    def lock(self, name: str, project: str, declared: Mapping[str, Any], groups: Iterable[str]) -> str:
        """Check the packages of a uv.lock that *project*, relative to the lock, needs; those of development groups may be outside the tree.

        Return how the lock differs from the *declared* dependencies in the pyproject.toml and from those of *groups*.
        """
        packages = self.table(name).get("package", [])
        packages = [_table(package) for package in packages] if isinstance(packages, list) else []
        roots = [package for package in packages if _table(package.get("source")) in _root_sources(project)]
        self._settings(_needed(packages, roots), name)
        return uv_lock_fault(declared, roots[0], groups) if roots else ""

    def _settings(self, table: Any, name: str) -> None:
        for key, text in _texts(table):
            if (key in _PATHS and "://" not in text) or re.match(r"(?i)(?:git\+)?file:", text):
                self.target(text, name)
            else:
                self._note(text, name)
        if _table(table).get("allow-insecure-host"):
            self.insecure.append(f"{name}: allow-insecure-host")

    def table(self, name: str) -> dict[str, Any]:
        content = self.tree.read(name)
        if content is None:
            return {}
        try:
            return tomllib.loads(content.decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            raise Refused(f"contains a {name} that is not valid: {exc}", "correct that file") from exc


def _root_sources(project: str) -> list[dict[str, str]]:
    return [{kind: project} for kind in _ROOT_SOURCES]


def _needed(packages: list[dict[str, Any]], roots: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the *packages* of a lock that the projects *roots* depend on, including those of extras."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(str(package.get("name")), []).append(package)
    seen: set[int] = set()
    needed, todo = [], list(roots or packages)
    while todo:
        package = todo.pop()
        if id(package) in seen:
            continue
        seen.add(id(package))
        needed.append(package)
        for dependency in _dependencies(package):
            todo += by_name.get(str(_table(dependency).get("name")), [])
    # Omit the keys of a root project that are for development only.
    return [{key: value for key, value in package.items() if key not in _OF_DEVELOPMENT} for package in needed]


def _dependencies(package: dict[str, Any]) -> Iterable[Any]:
    for dependencies in (
        package.get("dependencies"),
        *_table(package.get("optional-dependencies")).values(),
    ):
        yield from dependencies if isinstance(dependencies, list) else ()


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each string in *value* with its nearest key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)


def _decoded(content: bytes, name: str) -> str:
    text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    coding = [found[1].lower() for line in text.split("\n")[:2] if (found := _CODING.search(line))]
    if "\ufffd" in text or "\0" in text or any(each not in ("utf-8", "utf8", "ascii") for each in coding):
        raise Refused(f"contains a {name} that is not encoded in UTF-8", "encode it in UTF-8")
    return text


def _lines(text: str) -> Iterator[str]:
    """Yield the logical lines of a requirements file as pip joins them, and each physical line that another parser may read as an option."""
    physical = [_COMMENT.sub("", line).strip() for line in text.splitlines()]
    joined: list[str] = []
    for raw in text.splitlines():
        comment = re.match(r"\s*#", raw)
        if raw.endswith("\\") and not comment:
            joined.append(raw[:-1])
            continue
        line = _COMMENT.sub("", "".join([*joined, " " + raw if comment else raw])).strip()
        joined = []
        if line:
            yield line
    if joined and (line := _COMMENT.sub("", "".join(joined)).strip()):
        yield line
    for line in physical:
        # The loop above has already yielded continued lines.
        if line.startswith("-") and not line.endswith("\\"):
            yield line


def _words(line: str, name: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as exc:
        raise Refused(f"has {line!r} in {name}: {exc}", "correct that line") from exc


def _unknown(name: str, option: str) -> Refused:
    fault = f"has {option[:80]!r} in {name}, which is not allowed in requirements"
    return Refused(fault, "remove it; configure uv and pip with asgi_app_build_env")


def _without_path(url: str) -> str:
    return re.sub(r"(://)(?:[^/@\s]*@)?([^/\s]*).*", r"\1\2", url)
