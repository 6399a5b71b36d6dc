# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Determine how a source tree declares its dependencies.

A lock file takes precedence over requirements.txt, and requirements.txt over pyproject.toml. asgi_app_source.requirements selects other files.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.poetry_dependencies import (
    PoetryError,
    poetry_requirements,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.project_layout import application_reason
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import (
    REQUIREMENTS,
    SourceError,
    shown_list,
)

DEFAULT_FILE = "requirements.txt"
# The kind of declaration of each lock file, see Resolved, and the file of the project that it belongs to.
LOCKS = {
    "uv.lock": ("lock", "pyproject.toml"),
    "pylock.toml": ("pylock", None),
    "poetry.lock": ("exported", "pyproject.toml"),
    "pdm.lock": ("exported", "pyproject.toml"),
    "Pipfile.lock": ("exported", "Pipfile"),
}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
NAMED_PYLOCK = re.compile(r"pylock\.[^./]+\.toml")
# Files that may declare dependencies if the supported files at the root do not.
CANDIDATES = (
    "*requirements*.txt",
    "*requirements*.in",
    "Pipfile",
    "environment.yml",
    "environment.yaml",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
)
CANDIDATE_DEPTH = 3
# Values of asgi_app_install_project that install every project, and the value of ``install`` in Resolved.dependencies.
_INSTALLED: dict[str, bool | str] = {"true": True, "editable": "editable"}
GROUPS, EXTRAS, INSTALL = "asgi_app_groups", "asgi_app_extras", "asgi_app_install_project"


class Choice(NamedTuple):
    """The variables that select dependencies of a source."""

    files: Sequence[str] = ()
    groups: Sequence[str] = ()
    extras: Sequence[str] = ()
    install: str = "auto"


DEFAULT = Choice()


def read_project(text: bytes, variable: str) -> dict[str, Any]:
    """Return the content of a pyproject.toml."""
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SourceError(
            "project-file-invalid", variable, f"holds a pyproject.toml that is not valid: {exc}", "correct that file"
        ) from exc


def declared(files: Iterable[str], project: dict[str, Any], variable: str, choice: Choice = DEFAULT) -> dict[str, Any]:
    """Return how a tree with these *files* and this pyproject.toml declares the dependencies that *choice* selects, see Resolved."""
    check_names(choice)
    return _Declaration(list(files), project, variable, choice).read()


class _Declaration:
    def __init__(self, files: list[str], project: dict[str, Any], variable: str, choice: Choice) -> None:
        self.files = files
        self.top = {name for name in files if "/" not in name}
        self.project = project
        self.variable = variable
        self.choice = choice
        self.metadata = _table(project.get("project"))
        self.tools = _table(project.get("tool"))
        self.dynamic = self.metadata.get("dynamic", [])

    def read(self) -> dict[str, Any]:
        lock, requirements = self._files()
        if self.choice.install in _INSTALLED and not self.top & {"pyproject.toml", "setup.py"}:
            fault = (
                f"is {self.choice.install!r}, but the source has neither a pyproject.toml nor a setup.py at its root"
            )
            raise SourceError("project-missing", INSTALL, fault, "set it to auto")
        if lock:
            return self._locked(lock)
        if requirements:
            self._refuse_selection(f"{shown_list(requirements)} has neither groups nor extras")
            named = {} if requirements == [DEFAULT_FILE] else {"files": requirements}
            installed = _INSTALLED.get(self.choice.install)
            return {"by": "requirements", **named, **({"install": installed} if installed else {})}
        self._check_selection()
        return self._unlocked()

    def _files(self) -> tuple[str | None, list[str]]:
        """Return the lock file or the requirements files that declare the dependencies."""
        if self.choice.files:
            return self._chosen([posixpath.normpath(name) for name in self.choice.files])
        locks = [name for name in LOCKS if name in self.top]
        unused = locks[1:] or ([] if locks else sorted(filter(NAMED_PYLOCK.fullmatch, self.top)))
        if unused:
            found = locks or unused
            fault = f"holds the lock file{'s' if len(found) > 1 else ''} {' and '.join(found)}, "
            fault += "of which only one can be installed" if locks else "which is not used by default"
            remedy = f"set asgi_app_source.requirements to the one to install, such as [{found[0]}], or add the others to asgi_app_exclude_extra"
            raise SourceError("lock-not-used", self.variable, fault, remedy)
        return (locks or [None])[0], [DEFAULT_FILE] if DEFAULT_FILE in self.top else []

    def _chosen(self, chosen: list[str]) -> tuple[str | None, list[str]]:
        missing = [name for name in chosen if name not in self.files]
        if missing:
            listed = [name for name in self.files if name.count("/") < CANDIDATE_DEPTH and _is_candidate(name)]
            remedy = "set the paths of files relative to the root of the app"
            raise SourceError(
                "requirements-file-missing",
                REQUIREMENTS,
                f"has {shown_list(missing)}, which the source does not contain",
                f"{remedy}, such as {shown_list(listed)}" if listed else remedy,
            )
        locks = [name for name in chosen if name in LOCKS or NAMED_PYLOCK.fullmatch(name)]
        if locks and len(chosen) > 1:
            fault = f"has {locks[0]} and other files"
            raise SourceError(
                "requirements-file-unsupported", REQUIREMENTS, fault, "set either one lock file or requirements files"
            )
        if not locks and any(name.endswith((".lock", ".toml")) for name in chosen):
            fault = f"has {shown_list(chosen)}, which is neither a requirements file nor a lock file at the root"
            raise SourceError("requirements-file-unsupported", REQUIREMENTS, fault, "set another file")
        return (locks or [None])[0], chosen

    # Locks

    def _locked(self, lock: str) -> dict[str, Any]:
        kind, project_file = LOCKS.get(lock, LOCKS["pylock.toml"])
        if project_file and project_file not in self.top:
            raise SourceError(
                "lock-without-project",
                self.variable,
                f"holds a {lock} without a {project_file}",
                f"add the project's {project_file}",
            )
        if lock == "Pipfile.lock" and self.choice.extras:
            self._refuse_extras(f"{lock} has no extras")
        if project_file == "pyproject.toml":
            self._check_selection()
        found: dict[str, Any] = {"by": kind} if lock == "uv.lock" else {"by": kind, "file": lock}
        found |= self._selection()
        install = self._installs()
        if lock == "uv.lock":
            # uv itself detects most projects that are not packages.
            return found if install is True else {**found, "install": install}
        return {**found, "install": install if lock != "Pipfile.lock" and self._is_package() else False}

    # Without a lock

    def _unlocked(self) -> dict[str, Any]:
        computed = "setup.py" in self.top or "dependencies" in self.dynamic
        install = self._installs()
        if (self._is_package() and install) or self.choice.install in _INSTALLED:
            found: dict[str, Any] = {"by": "project"} if install is True else {"by": "project", "install": install}
            if lines := self._of_groups():
                found["requirements"] = lines
            return found | self._selection()
        poetry = _table(self.tools.get("poetry"))
        if files := self._dynamic_files():
            self._refuse_selection(f"{shown_list(files)} has neither groups nor extras")
            return {"by": "requirements", "files": files}
        if computed and "dependencies" not in self.metadata and not poetry:
            fault = f"is {self.choice.install!r}, but only a build of the project computes its dependencies"
            remedy = f"set it to true, or list the dependencies in {DEFAULT_FILE}"
            raise SourceError("project-not-installed", INSTALL, fault, remedy)
        if "dependencies" in poetry and "dependencies" not in self.metadata:
            lines = [*self._of_poetry(poetry["dependencies"]), *self._of_groups()]
            return {"by": "list", "requirements": lines, "tool": "poetry", **self._selection()}
        if self.metadata:
            lines = list(self.metadata.get("dependencies", []))
            for extra in self.choice.extras:
                lines += self._of_extra(extra, set())
            return {"by": "list", "requirements": [*lines, *self._of_groups()], **self._selection()}
        return {"by": "nothing"}

    def _dynamic_files(self) -> list[str]:
        """Return the requirements files from which setuptools would read the dependencies of a project that is not installed."""
        settings = _table(_table(_table(self.tools.get("setuptools")).get("dynamic")).get("dependencies"))
        files = settings.get("file", [])
        files = [files] if isinstance(files, str) else files
        found = [posixpath.normpath(file) for file in files if isinstance(file, str)]
        return found if "dependencies" in self.dynamic and set(found) <= set(self.files) else []

    def _selection(self) -> dict[str, Any]:
        chosen = {"groups": list(self.choice.groups), "extras": list(self.choice.extras)}
        return {key: values for key, values in chosen.items() if values}

    def _is_package(self) -> bool:
        return "build-system" in self.project or "setup.py" in self.top or "dependencies" in self.dynamic

    def _installs(self) -> bool | str:
        """Return whether the project itself is installed, or "editable"."""
        if self.choice.install == "auto":
            return not application_reason(self.project, self.files)
        return _INSTALLED.get(self.choice.install, False)

    def _of_extra(self, extra: str, seen: set[str]) -> list[str]:
        """Return the requirements of an extra, including those of extras of the project itself."""
        if _normal(extra) in seen:
            return []
        seen.add(_normal(extra))
        lines: list[str] = []
        for line in _lookup(self.metadata.get("optional-dependencies"), extra):
            match = re.match(r"\s*([A-Za-z0-9._-]+)\s*\[([^\]]*)\]", line)
            if match and _normal(match[1]) == _normal(str(self.metadata.get("name", ""))):
                for each in match[2].split(","):
                    lines += self._of_extra(each.strip(), seen)
            else:
                lines.append(line)
        return lines

    def _of_groups(self) -> list[str]:
        return [line for group in self.choice.groups for line in self._of_group(group, set())]

    def _of_group(self, group: str, seen: set[str]) -> list[str]:
        if _normal(group) in seen:
            return []
        seen.add(_normal(group))
        lines: list[str] = []
        for item in _lookup(self.project.get("dependency-groups"), group):
            if isinstance(item, str):
                lines.append(item)
            elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
                lines += self._of_group(item["include-group"], seen)
        poetry = _table(_table(self.tools.get("poetry")).get("group"))
        for name, table in poetry.items():
            if _normal(name) == _normal(group):
                lines += self._of_poetry(_table(table).get("dependencies", {}), every=True)
        if _normal(group) == "dev":
            lines += _table(self.tools.get("uv")).get("dev-dependencies", [])
            dependencies = _table(_table(self.tools.get("poetry")).get("dev-dependencies"))
            lines += self._of_poetry(dependencies, every=True)
        return lines + _lookup(_table(self.tools.get("pdm")).get("dev-dependencies"), group)

    def _of_poetry(self, dependencies: Any, every: bool = False) -> list[str]:
        extras = _table(_table(self.tools.get("poetry")).get("extras"))
        optional = {_normal(name) for extra in self.choice.extras for name in _lookup(extras, extra)}
        try:
            return poetry_requirements(_table(dependencies), optional, every)
        except PoetryError as exc:
            remedy = "run `poetry lock` and add the poetry.lock, or list the dependencies in requirements.txt"
            raise SourceError("project-file-invalid", self.variable, str(exc), remedy) from exc

    # The variables

    def _refuse_selection(self, reason: str) -> None:
        """Raise SourceError if groups or extras are set, which the dependencies of this kind do not have."""
        if self.choice.extras:
            self._refuse_extras(reason)
        if self.choice.groups:
            raise _unknown(GROUPS, self.choice.groups[0], reason)

    def _refuse_extras(self, reason: str) -> None:
        raise _unknown(EXTRAS, self.choice.extras[0], reason)

    def _check_selection(self) -> None:
        """Raise SourceError for a group or an extra that the pyproject.toml does not define."""
        poetry = _table(self.tools.get("poetry"))
        groups = [
            *_table(self.project.get("dependency-groups")),
            *_table(poetry.get("group")),
            *_table(_table(self.tools.get("pdm")).get("dev-dependencies")),
            *(["dev"] if "dev-dependencies" in _table(self.tools.get("uv")) or "dev-dependencies" in poetry else []),
        ]
        extras = [*_table(self.metadata.get("optional-dependencies")), *_table(poetry.get("extras"))]
        computed = "optional-dependencies" in self.dynamic or "setup.py" in self.top or "setup.cfg" in self.top
        for variable, wanted, known in (
            (GROUPS, self.choice.groups, groups),
            (EXTRAS, () if computed else self.choice.extras, extras),
        ):
            for name in wanted:
                if _normal(name) not in map(_normal, known):
                    listed = f"the pyproject.toml of the source defines {shown_list(known) if known else 'none'}"
                    raise _unknown(variable, name, listed)


def selection(dependencies: dict[str, Any]) -> dict[str, Any]:
    """Return the part of *dependencies* that the id of a release includes; empty if the content of the tree determines it."""
    found = {key: value for key, value in dependencies.items() if key not in ("lines", "hashed", "requirements")}
    return found if found.keys() - {"by"} else {}


def check_names(choice: Choice) -> None:
    """Raise SourceError for a group or an extra that is not a valid name, because names become arguments of the installers."""
    for variable, names in ((GROUPS, choice.groups), (EXTRAS, choice.extras)):
        for name in names:
            if not _NAME.fullmatch(name):
                raise _unknown(variable, name, "names consist of letters, digits and - _ . between them")


def refuse_choice(choice: Choice) -> None:
    """Raise SourceError if *choice* selects dependencies of a tree, which a package does not have."""
    for variable, values in ((REQUIREMENTS, choice.files), (GROUPS, choice.groups), (EXTRAS, choice.extras)):
        if values:
            fault = "is set, but a package has no dependency files"
            raise SourceError(
                "selection-without-tree",
                variable,
                fault,
                "remove it; extras are part of the package, as in name[extra]==1.2",
            )


def _unknown(variable: str, name: str, reason: str) -> SourceError:
    return SourceError("selection-unknown", variable, f"contains {name!r}, but {reason}", "correct or remove it")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _lookup(table: Any, name: str) -> list[Any]:
    """Return the list for *name* in *table*, whose keys are compared as package names."""
    for key, value in _table(table).items():
        if _normal(key) == _normal(name) and isinstance(value, list):
            return value
    return []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_lock(name: str) -> bool:
    return name in LOCKS or bool(NAMED_PYLOCK.fullmatch(name))


def undeclared(files: Iterable[str], subdirectory: str = "") -> tuple[str, str]:
    """Return the fault and the remedy for a tree that declares no dependencies; *files* are relative to its *subdirectory*."""
    found = [name for name in files if name.count("/") < CANDIDATE_DEPTH and _is_candidate(name)]
    fault = (
        "declares no dependencies, so only those of the server are installed: it has no lock file, requirements.txt, "
        "setup.py or pyproject.toml with [project] dependencies or a [build-system] at its root"
    )
    # Prefer production.txt or prod.txt to base.txt and dev.txt.
    listed = [name for name in found if name.endswith(".txt")]
    first = min(listed, key=lambda name: ("prod" not in name, found.index(name)), default=None)
    choose = f"set {REQUIREMENTS} to [{first}]" if first else f"add a {DEFAULT_FILE} there"
    if found:
        fault += f", only {shown_list(found)}"
    remedy = f"{choose}; or set asgi_app_requirements; if the app needs none, add an empty {DEFAULT_FILE}"
    # In a monorepo, the first file that declares a whole project shows where the app may be.
    project = next((name for name in found if "/" in name and _declares_project(name)), None)
    if project:
        directory = posixpath.join(subdirectory, posixpath.dirname(project))
        remedy = f"if the app is in {directory}, set asgi_app_source.subdirectory to it; otherwise, {remedy}"
    return fault, remedy


def _declares_project(name: str) -> bool:
    directory, _slash, last = name.rpartition("/")
    return not re.search(r"(?:^|/)requirements$", directory) and (
        _is_lock(last) or last in ("uv.lock", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", DEFAULT_FILE)
    )


def _is_candidate(name: str) -> bool:
    """Return whether *name* may declare dependencies: requirements/base.txt, requirements-dev.txt, backend/pyproject.toml."""
    last = name.rpartition("/")[2]
    in_directory = re.search(r"(?:^|/)requirements/[^/]+\.(?:txt|in)$", name)
    return bool(in_directory) or _is_lock(last) or any(fnmatchcase(last, each) for each in CANDIDATES)
