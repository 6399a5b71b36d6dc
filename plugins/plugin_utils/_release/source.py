# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve asgi_app_source to an archive and a digest, on the controller, once per run.

Every host of a run gets the same archive, even if the tree or the branch changes during the run.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import (
    mask_urls,
    safe_label,
    without_credentials,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.archive_file import (
    UNREADABLE,
    URL,
    archive_tree,
    locate,
    public_url,
    text_file,
    unreadable,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import Refused, read_declarations
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import (
    DEFAULT,
    Choice,
    check_names,
    declared,
    refuse_choice,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.git_repository import Checkout, check_ref
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.git_tree import GitTree
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.run_cache import once
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.scm_version import add_versions
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.shared_paths import shared_paths
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import (
    ARCHIVE,
    GIT,
    PACKAGE,
    PATH,
    SUBDIRECTORY,
    VARIABLE,
    VARIABLES,
    WHEEL,
    SourceError,
    outdated_lock,
    shown,
    shown_list,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_tree import (
    Entry,
    Tree,
    directory_entries,
    pack,
    submodule_paths,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import (
    REMEDY,
    described,
    insecure_urls,
    repository_fault,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_file import read_wheel
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import file_name

REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"\s*(?P<extras>\[\s*[A-Za-z0-9._-]+(?:\s*,\s*[A-Za-z0-9._-]+)*\s*\])?"
    r"\s*==\s*(?P<version>[0-9][A-Za-z0-9]*(?:[.!+_-][A-Za-z0-9]+)*)\s*"
)


# The other keys of a source, and the kinds of source that they apply to.
KINDS_OF_KEY = {
    "ref": ("git",),
    "submodules": ("git",),
    "checksum": ("archive",),
    "subdirectory": ("path", "git", "archive"),
    "requirements": ("path", "git", "archive"),
    "shared": ("path", "git", "archive"),
}


@dataclass(frozen=True)
class Resolved:
    """A source whose content is known.

    - ``archive``: a file on the controller; None for a package
    - ``dependencies``: how the tree declares its dependencies. ``by`` is one of

      - lock: a uv.lock, of which ``groups`` and ``extras`` are installed, and the project unless ``install`` is false
      - pylock: the pylock.toml ``file``, with the same keys
      - exported: the lock ``file`` of another tool, with the same keys; lock_export adds its packages as ``lines``
      - requirements: ``files``, requirements.txt by default. With ``hashed``, pip and uv require hashes for everything that they install
        together. With ``install``, the project too
      - project: the project itself with ``extras``, and ``requirements`` from groups
      - list: ``requirements``
      - nothing

      ``install`` is "editable" to install the project as a reference to its source in the release
    - ``undeclared``: the doubt about a tree that declares no dependencies; it does not apply if the variables declare them
    - ``insecure``: URLs in the files of the tree whose transport does not authenticate the server
    - ``expanded``: environment variables in the requirements of the tree
    - ``subdirectory``: the directory of the project in the tree, empty for its root
    - ``variables``: environment variables for the build backend of the project
    - ``pythons``: the versions of Python that the tree declares, see python_request
    """

    kind: str
    label: str
    digest: str
    archive: str | None = None
    dependencies: dict[str, Any] = field(default_factory=lambda: {"by": "nothing"})
    details: dict[str, Any] = field(default_factory=dict)
    undeclared: Sequence[str] = ()
    insecure: list[str] = field(default_factory=list)
    expanded: list[str] = field(default_factory=list)
    subdirectory: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    pythons: list[Sequence[Any]] = field(default_factory=list)


def normalise(source: dict[str, Any], find: Callable[[str], Path]) -> dict[str, Any]:
    """Return the keys of *source* that are set, with paths on the controller made absolute by *find*."""
    given = {
        key: list(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in source.items()
        if value is not None and value is not False
    }
    _check_keys(given)
    for kind in ("path", "archive", "wheel"):
        if kind in given and not (kind == "archive" and URL.match(given[kind])):
            given[kind] = str(find(given[kind]))
    if "git" in given and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:|-", given["git"]):
        given["git"] = str(find(given["git"]))
    if "subdirectory" in given:
        given["subdirectory"] = _subdirectory(given["subdirectory"])
    if "shared" in given:
        given["shared"] = shared_paths(given["shared"])
    return given


def without_secrets(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return *source* without the credentials in its URLs, which hosts would log."""
    shown = {"archive": public_url, "git": without_credentials}
    return {
        key: shown[key](value) if key in shown and URL.match(str(value)) else value for key, value in source.items()
    }


def _check_keys(given: Iterable[str]) -> None:
    """Raise SourceError if a key has no meaning for the kind of the source."""
    for key, kinds in KINDS_OF_KEY.items():
        kind = next((kind for kind in VARIABLES if kind in given and kind not in kinds), None)
        if key in given and kind:
            fault = f"is set, but asgi_app_source has {kind}"
            remedy = f"remove it, or use it with {' or '.join(kinds)}"
            raise SourceError("source-key-unsuitable", f"{VARIABLE}.{key}", fault, remedy)


def _subdirectory(value: str) -> str:
    """Return the normalised path of a subdirectory, empty for the root; raise SourceError if it leads out of the source."""
    path = posixpath.normpath(value) if value else ""
    if not value.isprintable() or not path or path.startswith(("/", "~")) or path.split("/")[0] == "..":
        fault, remedy = f"is {value!r}", "set a path below the root of the source, such as backend"
        raise SourceError("source-subdirectory-invalid", SUBDIRECTORY, fault, remedy)
    return "" if path == "." else path


def resolve(
    source: dict[str, Any],
    exclude: Sequence[str],
    directory: str | os.PathLike[str],
    insecure: bool = False,
    choice: Choice = DEFAULT,
) -> Resolved:
    """Return the resolution of the normalised *source*, which *directory* caches for the rest of the run. Raises SourceError.

    *insecure* allows a repository with a transport that does not authenticate the server. *choice* selects dependencies.
    """
    choice = choice._replace(files=source.get("requirements", ()))
    key = [source, sorted(exclude), insecure, choice]
    return Resolved(
        **once(directory, "source", key, lambda place: asdict(_resolve(source, exclude, place, insecure, choice)))
    )


def check_installer(resolved: Resolved, installer: str) -> None:
    """Raise SourceError if *installer* cannot install the dependencies of *resolved*."""
    if installer == "pip" and resolved.dependencies["by"] in ("lock", "pylock"):
        lock = resolved.dependencies.get("file", "uv.lock")
        raise SourceError(
            "installer-cannot-read-lock",
            "asgi_app_installer",
            f"is 'pip', which cannot read the {lock} of the source",
            f"set asgi_app_installer to uv, or add {lock} to asgi_app_exclude_extra",
        )


def _resolve(source: dict[str, Any], exclude: Sequence[str], place: Path, insecure: bool, choice: Choice) -> Resolved:
    if "package" in source:
        refuse_choice(choice)
        return _from_package(source["package"])
    if "path" in source:
        return _from_path(source, exclude, place, choice)
    if "git" in source:
        return _from_git(source, exclude, place, insecure, choice)
    if "archive" in source:
        return _from_archive(source, exclude, place, insecure, choice)
    return _from_wheel(source["wheel"], place, choice)


def _from_package(requirement: str) -> Resolved:
    match = REQUIREMENT.fullmatch(requirement)
    if not match:
        raise SourceError(
            "package-not-pinned",
            PACKAGE,
            f"is {requirement!r}, which is not one exact version of one package",
            "write it as name==version or name[extra]==version, for instance titiler.application==1.0.2",
        )
    extras = re.sub(r"\s", "", match["extras"] or "")
    requirement = f"{match['name']}{extras}=={match['version']}"
    digest = hashlib.sha256(requirement.encode()).hexdigest()
    return Resolved("package", safe_label(match["version"]), digest, details={"requirement": requirement})


def _from_path(source: dict[str, Any], exclude: Sequence[str], place: Path, choice: Choice) -> Resolved:
    path, subdirectory = source["path"], source.get("subdirectory", "")
    root = Path(path)
    if not root.is_dir():
        fault = "is not a directory" if root.exists() else "does not exist on the controller"
        raise SourceError(
            "source-directory-missing", PATH, f"is {path!r}, which {fault}", "set the directory of the application"
        )
    archive = place / "source.tar.gz"
    try:
        # Submodules are separate repositories.
        versioned = add_versions(
            directory_entries(root.resolve(), exclude), lambda directory: Checkout(root.resolve() / directory).describe
        )
        tree = pack(versioned.entries, archive, PATH, subdirectory, source.get("shared", ()))
        named = [*tree.submodules, *_enclosing_submodules(root.resolve())]
        submodules = [path for path in dict.fromkeys(named) if path in tree.directories and _is_empty(root / path)]
    except (OSError, RuntimeError) as exc:  # RuntimeError: a loop of symlinks
        raise SourceError(
            "source-unreadable",
            PATH,
            f"cannot be read: {exc}",
            "make it readable, or list it in asgi_app_exclude_extra",
        ) from exc
    refuse_incomplete(PATH, "in that directory", tree.pointers, submodules)
    label = tree.version or versioned.versions.get(subdirectory, "src")
    return _from_tree("path", label, tree, archive, {}, PATH, versioned.variables, choice)


def _from_git(source: dict[str, Any], exclude: Sequence[str], place: Path, insecure: bool, choice: Choice) -> Resolved:
    url, ref = source["git"], source.get("ref", "")
    fault = repository_fault(url)
    if fault:
        raise SourceError(
            "git-url-invalid",
            GIT,
            f"is {mask_urls(url)!r}, {fault}",
            "set the repository's URL, such as https://git.example.org/app.git",
        )
    unsafe = insecure_urls(url)
    if unsafe and not insecure:
        raise SourceError(
            "transport-insecure", GIT, f"is at {described(unsafe)}, which does not authenticate the server", REMEDY
        )
    check_ref(ref)
    archive = place / "source.tar.gz"
    with ExitStack() as stack:
        reader = GitTree(place, exclude, "submodules" in source, insecure, stack)
        repository = reader.open(url, ref)
        commit = repository.fetch()
        versioned = reader.read(repository, commit)
        tree = pack(versioned.entries, archive, GIT, source.get("subdirectory", ""), source.get("shared", ()))
    refuse_incomplete(GIT, "", tree.pointers, reader.empty)
    details = {"url": without_credentials(url), "ref": ref, "commit": commit}
    return _from_tree("git", commit[:10], tree, archive, details, GIT, versioned.variables, choice)


def _from_archive(
    source: dict[str, Any], exclude: Sequence[str], place: Path, insecure: bool, choice: Choice
) -> Resolved:
    file = locate(source["archive"], source.get("checksum"), insecure)
    archive = place / "source.tar.gz"
    with ExitStack() as stack:
        entries = archive_tree(file, exclude, stack)
        try:
            tree = pack(entries, archive, ARCHIVE, source.get("subdirectory", ""), source.get("shared", ()))
        except UNREADABLE as exc:
            raise unreadable(exc) from exc
    empty = [path for path in tree.submodules if path in tree.directories and tree.is_empty(path)]
    refuse_incomplete(ARCHIVE, "before you make the archive", tree.pointers, empty)
    name = file_name(source["archive"])
    label = tree.version or re.sub(r"\.(?:zip|tar|tgz|tbz2?|txz)(?:\.\w+)?$", "", name)
    details = {"archive": public_url(source["archive"]) if URL.match(source["archive"]) else name}
    return _from_tree("archive", label, tree, archive, details, ARCHIVE, {}, choice)


def _from_wheel(path: str, place: Path, choice: Choice) -> Resolved:
    refuse_choice(choice._replace(extras=()))
    check_names(choice)
    extras = f"[{','.join(choice.extras)}]" if choice.extras else ""
    wheel = read_wheel(path)
    archive = place / "source.tar.gz"
    entries = [
        Entry(wheel.path.name, "file", open=partial(wheel.path.open, "rb")),
        text_file("requirements.txt", f"./{wheel.path.name}{extras}\n"),
    ]
    resolved = _from_tree(
        "wheel", wheel.version, pack(entries, archive, WHEEL), archive, {"wheel": wheel.path.name}, WHEEL, {}, DEFAULT
    )
    declared = [(f"Requires-Python: {wheel.requires_python}", [wheel.requires_python])] if wheel.requires_python else []
    return replace(resolved, insecure=[*resolved.insecure, *wheel.insecure], pythons=declared)


def _from_tree(
    kind: str,
    label: str,
    tree: Tree,
    archive: Path,
    details: dict[str, Any],
    variable: str,
    variables: dict[str, str],
    choice: Choice,
) -> Resolved:
    dependencies = declared(tree.app_files, tree.project, variable, choice)
    try:
        declarations = read_declarations(str(archive), dependencies, tree.subdirectory, tree.workspace)
    except Refused as exc:
        raise SourceError("source-declarations-refused", variable, exc.fault, exc.remedy) from exc
    if tree.subdirectory:
        details = {**details, "subdirectory": tree.subdirectory}
    if tree.shared:
        details = {**details, "shared": list(tree.shared)}
    if declarations.outdated:
        raise outdated_lock(
            variable, "uv.lock", f"the dependencies in pyproject.toml: {declarations.outdated}", "uv lock"
        )
    if declarations.hashed:
        dependencies["hashed"] = True
    return Resolved(
        kind,
        label,
        tree.digest,
        str(archive),
        dependencies,
        details,
        undeclared=tree.undeclared(dependencies),
        insecure=declarations.insecure,
        expanded=declarations.variables,
        subdirectory=tree.subdirectory,
        variables=variables,
        pythons=tree.pythons,
    )


def _is_empty(directory: Path) -> bool:
    """Return whether *directory* is empty except for .git, like a submodule that is not checked out."""
    return directory.is_dir() and not any(entry.name != ".git" for entry in directory.iterdir())


def _enclosing_submodules(root: Path) -> Iterator[str]:
    """Yield the submodules below *root* that an enclosing repository declares, if *root* is a subdirectory of one."""
    below = root
    while not (below / ".git").exists() and below != below.parent:
        below = below.parent
        if (below / ".gitmodules").is_file():
            for path in submodule_paths("", (below / ".gitmodules").read_bytes()):
                if (below / path).is_relative_to(root):
                    yield (below / path).relative_to(root).as_posix()


def refuse_incomplete(variable: str, where: str, pointers: Sequence[str], submodules: Sequence[str]) -> None:
    """Raise SourceError if there are Git LFS *pointers* or empty *submodules*.

    *where* completes the remedy for a directory on the controller; it is empty for a repository.
    """
    faults, commands = [], []
    if submodules:
        faults.append(f"{_count(submodules, 'git submodule')} that {'is' if len(submodules) == 1 else 'are'} empty")
        commands.append(
            "run `git submodule update --init --recursive`" if where else "set asgi_app_source.submodules to true"
        )
    if pointers:
        faults.append(
            f"{_count(pointers, 'Git LFS pointer')} in place of {'a file' if len(pointers) == 1 else 'files'}"
        )
        commands.append("run `git lfs pull`" if where else "install git-lfs on the controller")
    if faults:
        example = shown([*submodules, *pointers][0])
        remedy = (
            f"{' and '.join(commands)}{where and ' '}{where}; "
            f"add paths that the app does not need to asgi_app_exclude_extra, such as {example}"
        )
        raise SourceError("source-incomplete", variable, f"holds {' and '.join(faults)}", remedy)


def _count(names: Sequence[str], kind: str) -> str:
    """Return the number of *names*, the noun *kind* and the first names as text."""
    return f"{len(names)} {kind}{'' if len(names) == 1 else 's'} ({shown_list(list(names))})"
