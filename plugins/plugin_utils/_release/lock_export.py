# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the lock files of poetry, PDM and Pipenv to requirements, on the controller, with the tool that owns the format.

Each tool has a pinned version and its own environment, which `uv tool run` provides. The controller caches exports and tools, so an
unchanged lock needs neither again. The index of the packages comes from the variables and the hosts' configuration, not from the lock.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from ansible_collections.asgi.deploy.plugins.module_utils._app.dependency_install import package_name
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import Refused, check_requirement
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import EXTRAS, GROUPS, LOCKS
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.lock_freshness import (
    pdm_lock_matches,
    pipfile_lock_matches,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.run_cache import once
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import (
    REQUIREMENTS,
    VARIABLE,
    VARIABLES,
    SourceError,
    outdated_lock,
    shown_list,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import insecure_urls, variables
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import WheelCache, digest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import WheelError

# Part of every cache key. Increase it when the same lock must be exported differently.
FORMAT = 1

_INDEX_OPTION = re.compile(r"-i\b|-f\b|--(?:index-url|extra-index-url|find-links|trusted-host|no-index)\b")
# A requirement that is a path, with the forms of the three tools.
_LOCAL = re.compile(r"(?:-e\s+)?(?:[\w.-]+\s*(?:\[[^\]]*\])?\s*@\s*)?(?:file://(/\S+)|(\.{1,2}/\S*))")
# A repository or a file on the machine that runs the installer.
_FILE_URL = re.compile(r"(?i)(?:^|[\s@+])file:")
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:==|@(?=\s*https?:))\s*([^\s;]+)")
_FETCH_ERRORS = re.compile(
    r"error sending request|dns error|timed out|Connection refused|unreachable|Failed to (?:fetch|download)|"
    r"No solution found when resolving tool|network was disabled|NewConnectionError|NameResolutionError"
)


class Exporter(NamedTuple):
    """A tool that exports a lock: its pinned requirements, its command, and its environment."""

    packages: Sequence[str]
    command: Callable[[Sequence[str], Sequence[str]], list[str]]
    relock: str
    environment: Mapping[str, str]
    """Variables of the tool; ``{}`` is replaced by a temporary directory."""
    project: Callable[[str], str] | None = None
    """Returns the part of a pyproject.toml that the tool may read."""


def _poetry(groups: Sequence[str], extras: Sequence[str]) -> list[str]:
    options = [*(f"--only={group}" for group in ("main", *groups)), *(f"--extras={extra}" for extra in extras)]
    return ["poetry", "export", "--no-interaction", "--format", "requirements.txt", "--without-urls", *options]


def _pdm(groups: Sequence[str], extras: Sequence[str]) -> list[str]:
    # PDM rejects --prod together with groups, and exports only the named groups with --dev.
    options = ["--dev" if groups else "--prod", *(f"--group={name}" for name in (*groups, *extras))]
    # With hashes, PDM exports no directories and repositories, which have none. with_hashes() adds those of the other packages.
    return ["pdm", "export", "--format", "requirements", "--no-hashes", *options]


def _pipenv(groups: Sequence[str], _extras: Sequence[str]) -> list[str]:
    categories = ["--categories", " ".join(("packages", *groups))] if groups else []
    return ["pipenv", "requirements", "--hash", "--exclude-index", *categories]


def without_tool_requirements(text: str) -> str:
    """Return a pyproject.toml without poetry's requires-poetry and requires-plugins.

    The pinned version of poetry exports all locks, and must not install plugins that a project lists.
    """
    text = re.sub(r"(?ms)^\[tool\.poetry\.requires-plugins\].*?(?=^\[|\Z)", "", text)
    text = re.sub(r"(?m)^requires-poetry\s*=.*$", "", text)
    try:
        plugins = "requires-plugins" in tomllib.loads(text).get("tool", {}).get("poetry", {})
    except tomllib.TOMLDecodeError:
        plugins = True
    if plugins:
        fault = "has poetry plugins in a form that the controller does not recognise"
        remedy = "write them in a table [tool.poetry.requires-plugins] of pyproject.toml, which is ignored"
        raise SourceError("lock-not-exported", VARIABLE, fault, remedy)
    return text


def only_dependencies(text: str) -> str:
    """Return the dependencies in a pyproject.toml, without the other settings of PDM.

    PDM would run the scripts pre_invoke and others in [tool.pdm.scripts] on the controller, and would require a Python on the controller
    that matches requires-python.
    """
    found = tomllib.loads(text)
    metadata, pdm = _table(found.get("project")), _table(_table(found.get("tool")).get("pdm"))
    project = {key: metadata[key] for key in ("dependencies", "optional-dependencies") if key in metadata}
    kept = {
        "project": {"name": str(metadata.get("name", "app")), "version": "0", **project},
        "dependency-groups": found.get("dependency-groups", {}),
        "tool": {"pdm": {"dev-dependencies": pdm.get("dev-dependencies", {})}},
    }
    return "".join(f"{key} = {_inline(value)}\n" for key, value in kept.items())


def _inline(value: Any) -> str:
    """Return *value*, which consists of tables, arrays and strings, as TOML."""
    if isinstance(value, dict):
        pairs = [f"{_inline(key)} = {_inline(each)}" for key, each in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    # TOML has the escapes of JSON except surrogate pairs, and also requires one for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


EXPORTERS = {
    "poetry.lock": Exporter(
        packages=("poetry==2.5.1", "poetry-plugin-export==1.10.1"),
        command=_poetry,
        relock="poetry lock",
        environment={
            "POETRY_CACHE_DIR": "{}/cache",
            "POETRY_CONFIG_DIR": "{}/config",
            "POETRY_DATA_DIR": "{}/data",
            "POETRY_VIRTUALENVS_CREATE": "false",
        },
        project=without_tool_requirements,
    ),
    "pdm.lock": Exporter(
        packages=("pdm==2.29.4",),
        command=_pdm,
        relock="pdm lock",
        environment={
            "PDM_CACHE_DIR": "{}/cache",
            "PDM_CHECK_UPDATE": "false",
            "PDM_CONFIG_FILE": "{}/config.toml",
            "PDM_LOG_DIR": "{}/log",
            "PDM_USE_VENV": "false",
        },
        project=only_dependencies,
    ),
    "Pipfile.lock": Exporter(
        packages=("pipenv==2026.10.3",),
        command=_pipenv,
        relock="pipenv lock",
        environment={
            "PIPENV_CACHE_DIR": "{}/cache",
            "PIPENV_DONT_LOAD_ENV": "1",
            "PIPENV_IGNORE_VIRTUALENVS": "1",
            "WORKON_HOME": "{}/virtualenvs",
        },
    ),
}


def with_export(source: Resolved, settings: Callable[[], Settings], directory: str | os.PathLike[str]) -> Resolved:
    """Return *source* with the exported packages of its lock, if hosts cannot read the lock. Raises SourceError."""
    if source.dependencies["by"] != "exported":
        return source
    key = [FORMAT, source.digest, source.dependencies]
    lines = once(directory, "export", key, lambda place: {"lines": _export(source, settings(), place)})["lines"]
    name = source.dependencies["file"]
    return replace(
        source,
        dependencies={**source.dependencies, "lines": lines},
        insecure=[*source.insecure, *(f"{name}: {url}" for line in lines for url in insecure_urls(line))],
        expanded=[*source.expanded, *(each for line in lines for each in variables(line))],
    )


def _export(source: Resolved, settings: Settings, place: Path) -> list[str]:
    name = source.dependencies["file"]
    exporter = EXPORTERS[name]
    project = LOCKS[name][1]
    with tarfile.open(source.archive) as tar:
        files = {each: tar.extractfile(posixpath.join(source.subdirectory, each)).read() for each in (project, name)}
    _check_groups(name, files[name].decode(), source.dependencies)
    _check_hash(name, VARIABLES[source.kind], files[project].decode(), files[name].decode())
    if exporter.project:
        files[project] = exporter.project(files[project].decode()).encode()
    argv = exporter.command(source.dependencies.get("groups", ()), source.dependencies.get("extras", ()))
    cache = WheelCache()

    def compute() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=place) as temporary:
            tree = Path(temporary).resolve() / "tree"
            tree.mkdir()
            directory = tree / source.subdirectory
            directory.mkdir(parents=True, exist_ok=True)
            for each, content in files.items():
                (directory / each).write_bytes(content)
            text = _run(source, settings, cache, argv, tree)
            lines = requirement_lines(text, tree, directory)
            return {"lines": with_hashes(lines, files[name].decode()) if name == "pdm.lock" else lines}

    key = digest(
        [
            FORMAT,
            exporter.packages,
            argv,
            source.subdirectory,
            {each: content.decode() for each, content in files.items()},
        ]
    )
    return cache.cached("exports", key, compute)["lines"]


def _run(source: Resolved, settings: Settings, cache: WheelCache, argv: Sequence[str], tree: Path) -> str:
    name = source.dependencies["file"]
    exporter = EXPORTERS[name]
    variable = VARIABLES[source.kind]
    first, *others = exporter.packages
    environment = {key: value.format(tree.parent) for key, value in exporter.environment.items()}
    tool = [
        "tool",
        "run",
        "--quiet",
        "--python",
        sys.executable,
        "--from",
        first,
        *(f"--with={each}" for each in others),
    ]
    directory = tree / source.subdirectory
    tools = WheelTools(settings, cache, f"{variable} has a {name}")
    blame = f"{variable} has a {name} that {first} cannot export"
    try:
        try:
            # The cached tool needs no network, and the same dependencies of the tool export every lock.
            return tools.uv([*tool, *argv], directory, blame, **environment, UV_OFFLINE="1")
        except WheelError as exc:
            if not _FETCH_ERRORS.search(exc.fault):
                raise
            return tools.uv([*tool, *argv], directory, blame, **environment)
    except WheelError as exc:
        # PDM before 2.11 wrote locks without markers, and `pdm lock` alone does not add them.
        options = " --strategy inherit_metadata" if "inherit_metadata" in exc.fault else ""
        remedy = f"run `{exporter.relock}{options}` and commit the {name}; or list {name} in asgi_app_exclude_extra to deploy without it"
        if _FETCH_ERRORS.search(exc.fault):
            remedy = (
                f"check that the controller can reach the index to download {' and '.join(exporter.packages)} once "
                f"(asgi_app_index_url, asgi_app_build_env, asgi_app_ca_bundle); or export the lock to requirements.txt, "
                f"and set {REQUIREMENTS} to [requirements.txt]"
            )
        raise SourceError("lock-not-exported", exc.variable, exc.fault, remedy) from exc


def _check_groups(name: str, lock: str, dependencies: Mapping[str, Any]) -> None:
    """Raise SourceError for a group or an extra that the *lock* does not contain, because PDM and pipenv ignore it."""
    try:
        if name == "pdm.lock":
            known = _table(tomllib.loads(lock).get("metadata")).get("groups")
        elif name == "Pipfile.lock":
            known = [*json.loads(lock), "packages", "dev-packages"]
            known.remove("_meta")
        else:
            return
    except (ValueError, TypeError):
        return  # the tool reports this
    for variable, names in ((GROUPS, dependencies.get("groups", ())), (EXTRAS, dependencies.get("extras", ()))):
        for each in names:
            if known and package_name(each) not in map(package_name, known):
                fault = f"contains {each!r}, but the {name} of the source contains only {shown_list(known)}"
                remedy = f"correct or remove it; or lock it with `{EXPORTERS[name].relock}`, and commit the {name}"
                raise SourceError("selection-unknown", variable, fault, remedy)


def _check_hash(name: str, variable: str, project: str, lock: str) -> None:
    """Raise SourceError if the *lock* does not match the file *project*, because PDM and pipenv export it nevertheless."""
    matches = {"pdm.lock": pdm_lock_matches, "Pipfile.lock": pipfile_lock_matches}.get(name)
    try:
        fresh = not matches or matches(project, lock)
    except (ValueError, TypeError, AttributeError):
        return  # the tool reports this
    if not fresh:
        raise outdated_lock(variable, name, f"the {LOCKS[name][1]}, which was changed later", EXPORTERS[name].relock)


def with_hashes(lines: Sequence[str], lock: str) -> list[str]:
    """Return the requirements *lines* with the hashes of their packages in a pdm.lock."""
    hashes: dict[tuple[str, str], list[str]] = {}
    for package in tomllib.loads(lock).get("package", []):
        files = [file["hash"] for file in package.get("files", []) if "hash" in file]
        origin = package.get("url") or package.get("version", "")
        hashes.setdefault((package_name(package["name"]), origin), []).extend(files)
    found = []
    for line in lines:
        pinned = _PINNED.match(line)
        known = hashes.get((package_name(pinned[1]), pinned[2]), []) if pinned else []
        found.append(" ".join([line, *(f"--hash={each}" for each in dict.fromkeys(known))]))
    return found


def requirement_lines(text: str, tree: Path, project: Path) -> list[str]:
    """Return the requirements in an exported file, one per item, without options for indexes.

    Paths in *tree*, a temporary directory, become relative to *project*, the directory of the lock. Raises SourceError for other paths.
    """
    found = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        line = line.strip().replace("/${PROJECT_ROOT}", str(project))
        if not line or line.startswith("#") or _INDEX_OPTION.match(line):
            continue
        match = _LOCAL.match(line)
        if match:
            path = Path(os.path.normpath(project / unquote((match[1] or match[2]).partition("#")[0])))
            if not path.is_relative_to(tree):
                raise _outside(path.name)
            line = f"./{os.path.relpath(path, project)}{line[match.end() :]}"
        elif _FILE_URL.search(line):
            raise _outside(package_name(line) or line)
        else:
            try:
                check_requirement(line.removeprefix("-e "))
            except Refused as exc:
                fault = f"has a lock with {mask_urls(line.partition(' --hash')[0])!r}: it {exc.fault}"
                raise SourceError("source-declarations-refused", VARIABLE, fault, exc.remedy) from exc
        found.append(line)
    return found


def _outside(name: str) -> SourceError:
    fault = f"has a lock that requires {name} from a directory outside of the source"
    remedy = "move it into the source, or require it from an index"
    return SourceError("requirement-outside-source", VARIABLE, fault, remedy)
