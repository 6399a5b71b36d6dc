# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add the version from the tags of a git repository to the projects of a source tree whose build backend reads it there.

A packed tree contains no repository. As an unpacked source distribution does, it contains PKG-INFO instead, which the build backends read.
setuptools-scm also gets a .git_archival.txt, from which it applies the project's own version scheme and finds the package data.
"""

from __future__ import annotations

import configparser
import fnmatch
import io
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_tree import Entry, in_order
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.version_files import version_files

# Build requirements that read the version from a repository. pbr reads PKG-INFO only if the name matches.
PLUGINS = frozenset(
    "flit-scm hatch-vcs pbr setuptools-git-versioning setuptools-scm uv-dynamic-versioning vcs-versioning versioningit".split()
)
# Backends that ignore PKG-INFO, and the variable that sets the version.
PDM_VARIABLE = "PDM_BUILD_SCM_VERSION"
POETRY_VARIABLE = "POETRY_DYNAMIC_VERSIONING_BYPASS"
POETRY_PLUGIN = "poetry-dynamic-versioning"
# Hatchling reads the version from PKG-INFO, but this plugin's metadata hook, which can put the version into dependencies, does not.
UV_PLUGIN, UV_VARIABLE = "uv-dynamic-versioning", "UV_DYNAMIC_VERSIONING_BYPASS"

INFO, ARCHIVAL = "PKG-INFO", ".git_archival.txt"
PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
# More than any legitimate file of a project.
FILE_BYTES = 1 << 20

# The default of setuptools-scm, and prefixes such as "backend/".
TAG = re.compile(r"^(?:.*/)?(?:[\w.-]+-)?(?P<version>[vV]?\d+(?:\.\d+){0,2}[^+]*)(?:\+.*)?$")
# Every version tag has a digit. setuptools-scm uses this default too.
ANY_TAG = ("*[0-9]*",)
NODE_LENGTH = 8
RAW_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class Described(NamedTuple):
    """A commit, the nearest version tag among its ancestors (empty if there is none), and the number of commits since the tag."""

    commit: str
    date: str
    tag: str
    distance: int


# Returns the description of the commit of the tree with the nearest tag that matches one of the patterns; None without a repository.
Describe = Callable[[Sequence[str]], "Described | None"]


class Project(NamedTuple):
    """A project whose version comes from a repository: its name, how it selects and parses tags, and the variable of its backend."""

    name: str
    match: tuple[str, ...] = ANY_TAG
    tag: re.Pattern[str] = TAG
    variable: str = ""


class Versioned(NamedTuple):
    """The entries of a tree with the files that contain the versions, the versions by directory, and variables for the build."""

    entries: list[Entry]
    versions: dict[str, str]
    variables: dict[str, str]


def add_versions(entries: Iterable[Entry], describe_in: Callable[[str], Describe]) -> Versioned:
    """Return *entries* with the versions of the projects among them.

    *describe_in* returns the function that describes the commit of a directory, which may be in a separate repository. That function is
    called only if a project needs a version.
    """
    by_name = {entry.name: entry for entry in entries}
    added: dict[str, Entry] = {}
    versions: dict[str, str] = {}
    variables: dict[str, str] = {}
    for directory, files in _project_files(by_name).items():
        prefix = f"{directory}/" if directory else ""
        # An unpacked source distribution already has its version.
        project = None if f"{prefix}{INFO}" in by_name else project_of(files)
        described = describe_in(directory)(project.match) if project else None
        if not project or not described:
            continue
        version = version_of(described, project.tag)
        info = f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {version}\n"
        added[f"{prefix}{INFO}"] = _file(f"{prefix}{INFO}", info)
        added[f"{prefix}{ARCHIVAL}"] = _file(f"{prefix}{ARCHIVAL}", archival(described))
        versions[directory] = version
        settings = _parsed(files)
        for path, content in version_files(settings, version, f"g{described.commit[:NODE_LENGTH]}"):
            name, parent = f"{prefix}{path}", f"{prefix}{path}".rpartition("/")[0]
            if not parent or (parent in by_name and by_name[parent].kind == "directory"):
                added[name] = _file(name, content)
        if project.variable:
            variables.setdefault(project.variable, version)
    found = {**by_name, **added}.values()
    return Versioned(in_order(found) if added else list(found), versions, variables)


def version_of(described: Described, tag: re.Pattern[str] = TAG) -> str:
    """Return the version by setuptools-scm's default rules.

    It is the version of the tag, or for a later commit the next version with the number of commits and the id of the commit.
    """
    local = f"+g{described.commit[:NODE_LENGTH]}"
    match = tag.match(described.tag) if described.tag else None
    if match is None:
        return f"0.1.dev{described.distance}{local}"
    groups = match.groupdict()
    found = (groups.get("version") or match[match.lastindex or 0]).lstrip("vV").partition("+")[0]
    if not described.distance:
        return found
    if found.rpartition(".")[2].startswith("dev"):
        return f"{found.rpartition('.')[0]}.dev{described.distance}{local}"
    head, number = re.fullmatch(r"(.*?)(\d*)", found).groups()
    return f"{head}{int(number or 0) + 1}.dev{described.distance}{local}"


def archival(described: Described) -> str:
    """Return the content of .git_archival.txt, as git-archive(1) would substitute it in a repository with all tags."""
    lines = [f"node: {described.commit}", f"node-date: {described.date}"]
    if described.tag:
        since = f"-{described.distance}-g{described.commit[:NODE_LENGTH]}" if described.distance else ""
        lines.append(f"describe-name: {described.tag}{since}")
    return "".join(f"{line}\n" for line in lines)


def parse_describe(text: str, commit: str, date: str) -> Described:
    """Return the output of ``git describe --long --abbrev=40`` for *commit*."""
    tag, distance, _node = text.strip().rsplit("-", 2)
    return Described(commit, date, tag, int(distance))


def matching(tag: str, patterns: Iterable[str]) -> bool:
    """Return whether ``git describe --match`` would accept *tag* for one of *patterns*."""
    return any(fnmatch.fnmatchcase(tag, pattern) for pattern in patterns)


def project_of(files: Mapping[str, bytes]) -> Project | None:
    """Return the project in these *files*, contents by name, if a repository contains its version."""
    project = _parsed(files)
    metadata, tool = _table(project, "project"), _table(project, "tool")
    required = {_normal(text) for text in _texts(_table(project, "build-system").get("requires"))}
    name = metadata.get("name") or _table(tool, "poetry").get("name") or _name_in(files)
    poetry = _table(tool, POETRY_PLUGIN)
    if POETRY_PLUGIN in required and poetry.get("enable", False):
        return Project(str(name), variable=POETRY_VARIABLE)
    if "version" in metadata:
        return None
    pdm = _table(tool, "pdm", "version")
    if pdm.get("source") == "scm":
        tags = _texts([pdm.get("tag_filter")]) or ANY_TAG
        return Project(str(name), tuple(tags), _compiled(pdm.get("tag_regex")), PDM_VARIABLE)
    legacy = b"\n".join(files.get(each, b"") for each in ("setup.py", "setup.cfg"))
    if required & PLUGINS or re.search(rb"use_scm_version|setuptools[_-]scm|\bpbr\b", legacy):
        hatch = _table(tool, "hatch", "version")
        settings = {
            **_table(tool, "setuptools_scm"),
            **({"tag_regex": hatch["tag-pattern"]} if "tag-pattern" in hatch else {}),
            **_table(hatch, "raw-options"),
        }
        variable = UV_VARIABLE if UV_PLUGIN in _table(tool, "hatch", "metadata", "hooks") else ""
        return Project(str(name), _matches(settings) or ANY_TAG, _compiled(settings.get("tag_regex")), variable)
    return None


def _parsed(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        return tomllib.loads(files.get("pyproject.toml", b"").decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}  # the check of the source reports this


def _project_files(by_name: Mapping[str, Entry]) -> dict[str, dict[str, bytes]]:
    """Return the contents of the files that describe a project, by directory."""
    found: dict[str, dict[str, bytes]] = {}
    for entry in by_name.values():
        directory, _slash, name = entry.name.rpartition("/")
        if name in PROJECT_FILES and entry.open:
            with entry.open() as file:
                found.setdefault(directory, {})[name] = file.read(FILE_BYTES)
    return found


def _matches(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the patterns of the tags that the project's own `git describe` command matches."""
    scm = _table(settings, "scm", "git")
    command = settings.get("git_describe_command") or settings.get("describe_command") or scm.get("describe_command")
    words = command.split() if isinstance(command, str) else _texts(command)
    found = [word.partition("=")[2] for word in words if word.startswith("--match=")]
    found += [value for word, value in pairwise(words) if word == "--match"]
    return tuple(value.strip("'\"") for value in found)


def _compiled(expression: object) -> re.Pattern[str]:
    try:
        return re.compile(expression) if isinstance(expression, str) else TAG
    except re.error:
        return TAG


def _name_in(files: Mapping[str, bytes]) -> str:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(files.get("setup.cfg", b"").decode("utf-8", "replace"))
        return parser.get("metadata", "name")
    except configparser.Error:
        found = re.search(rb"\bname\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']", files.get("setup.py", b""))
        return found[1].decode() if found else "UNKNOWN"


def _normal(requirement: str) -> str:
    found = RAW_NAME.match(requirement)
    return re.sub(r"[._-]+", "-", found[1]).lower() if found else ""


def _table(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    found: Any = table
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _texts(values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _file(name: str, content: str) -> Entry:
    return Entry(name, "file", open=partial(io.BytesIO, content.encode()))
