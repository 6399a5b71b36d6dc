# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve the requirements of a release once for all hosts, and provide the wheels on the controller.

Nothing is downloaded if the cache contains everything.
"""

from __future__ import annotations

import os
import platform
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.dependency_install import as_argument, declaration_name
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import without_credentials
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import extract
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pin import uv_hashes
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import add_hashes, read_declarations
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.dependency_files import DEFAULT_FILE
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.run_cache import once
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import FORMAT, WheelCache, digest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools, write_lines
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import (
    VARIABLE,
    WITHOUT,
    Target,
    Wanted,
    WheelError,
    check_built,
    choose,
    describe_wheel,
    file_name,
    only_hashed,
    path_in,
    python_floor,
    raised_floor,
    read_pylock,
    resolved_digest,
    select,
    unsupported,
)

# The first version whose `uv pip compile --universal` writes a pylock.toml.
OLDEST_UV = (0, 8, 0)

REQUIREMENTS = "asgi_app_requirements and asgi_app_server_requirements"
UNSOLVABLE = "No solution found when resolving"

# The wheels of a release under "release", those of uv under "tools".
Wheels = dict[str, list[dict[str, str]]]


def resolve_wheels(source: Resolved, settings: Settings, directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the resolution of *source* and the requirements for all hosts: ``key``, ``parts``, ``digest`` and ``overridden``.

    The same source and requirements get the same resolution, in later runs too. Raises SourceError.
    """
    # The key includes the whole source, because a requirements.txt may include other files, and a project may compute its dependencies.
    key = digest(
        [
            FORMAT,
            [
                source.digest,
                source.dependencies,
                python_floor(settings.python),
                sorted(settings.requirements),
                sorted(settings.server_requirements),
                settings.uv_version,
                without_credentials(settings.index_url or ""),
            ],
        ]
    )
    return once(directory, "resolution", key, lambda place: _Wheelhouse(source, settings, place).resolve(source, key))


def provide_wheels(
    source: Resolved,
    settings: Settings,
    resolution: Mapping[str, Any],
    target: Target,
    with_uv: bool,
    directory: str | os.PathLike[str],
) -> Wheels:
    """Return the wheels that a host needs: ``release``, and ``tools`` if it lacks uv. All of them are in the cache afterwards."""
    return once(
        directory,
        "wheelhouse",
        [resolution["key"], target, with_uv],
        lambda place: _Wheelhouse(source, settings, place).provide(source, resolution, target, with_uv),
    )


def pack_wheels(wheels: Sequence[Mapping[str, str]], directory: str | os.PathLike[str]) -> str:
    """Return the path of an archive of these *wheels*. Hosts that need the same wheels get the same file."""

    def pack(place: Path) -> dict[str, str]:
        archive, cache = place / "wheels.tar", WheelCache()
        with tarfile.open(archive, "w") as tar:
            for wheel in wheels:
                tar.add(cache.path_of(wheel), f"{wheel['sha256']}/{wheel['file']}", filter=_without_owner)
        return {"archive": str(archive)}

    return once(directory, "shipment", sorted(wheel["sha256"] for wheel in wheels), pack)["archive"]


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _declaration(source: Resolved) -> str:
    """Return the name of the declaration of the dependencies of *source*, for messages."""
    if source.kind == "package":
        return "asgi_app_source.package"
    name = declaration_name(source.dependencies)
    return f"the {name} of asgi_app_source" if name else REQUIREMENTS


def _export_options(dependencies: Mapping[str, Any]) -> list[str]:
    """Return the command of uv that exports the selected part of a uv.lock."""
    # uv excludes a group that is in both options.
    options = [] if "dev" in dependencies.get("groups", ()) else ["--no-dev"]
    options += [f"--group={name}" for name in dependencies.get("groups", ())]
    options += [f"--extra={name}" for name in dependencies.get("extras", ())]
    if dependencies.get("install") is False:
        options.append("--no-emit-project")
    options += ["--no-editable", "--no-header", "--no-annotate", "--quiet", "--format", "pylock.toml"]
    return ["export", "--frozen", *options]


class _Wheelhouse:
    """Fills the controller's cache with uv and pip; *place* is a directory of this run."""

    def __init__(self, source: Resolved, settings: Settings, place: Path) -> None:
        settings = settings._replace(build_environment={**source.variables, **settings.build_environment})
        self.settings = settings
        self.place = place
        self.cache = WheelCache()
        self.tools = WheelTools(settings, self.cache)
        self.subdirectory = source.subdirectory
        self.overridden: list[dict[str, str]] = []

    def resolve(self, source: Resolved, key: str) -> dict[str, Any]:
        def compute() -> dict[str, Any]:
            with self._tree(source) as tree:
                parts = self._resolve(source, tree)
            return {"key": key, "parts": parts, "digest": resolved_digest(parts), "overridden": self.overridden}

        return self.cache.cached("resolutions", key, compute)

    def provide(self, source: Resolved, resolution: Mapping[str, Any], target: Target, with_uv: bool) -> Wheels:
        wanted = {"release": choose(resolution["parts"], target), "tools": []}
        if with_uv:
            wanted["tools"] = [self._checked_uv(item) for item in choose([self._resolve_uv()], target)]

        def compute() -> Wheels:
            self.cache.remove_unused()
            with self._tree(source) as tree:
                return {kind: self._fetch(items, source, tree, target) for kind, items in wanted.items()}

        key = digest([FORMAT, resolution["key"], target, with_uv and self.settings.uv_version])
        found = self.cache.cached("sets", key, compute)
        if not all(self.cache.has(wheel) for wheels in found.values() for wheel in wheels):
            self.cache.drop("sets", key)
            found = self.cache.cached("sets", key, compute)
        return found

    # Resolution

    @contextmanager
    def _tree(self, source: Resolved) -> Iterator[Path]:
        """Yield the root of a temporary tree with the files of *source*; its parent directory is empty otherwise."""
        with tempfile.TemporaryDirectory(dir=self.place) as directory:
            tree = Path(directory).resolve() / "tree"
            tree.mkdir()
            if source.archive:
                extract(source.archive, str(tree))
            yield tree

    def _resolve(self, source: Resolved, tree: Path) -> list[dict[str, Any]]:
        """Return the parts of the resolution: one, or the dependencies of the source and the requirements that they constrain."""
        added = [*self.settings.requirements, *self.settings.server_requirements]
        if source.dependencies.get("install") == "editable":
            fault = "is 'editable', which a wheel from the controller cannot be"
            raise WheelError("editable-wheelhouse", "asgi_app_install_project", fault, f"set it to auto; or {WITHOUT}")
        locked = self._locked(source, tree)
        if locked is not None:
            blame = f"{REQUIREMENTS} conflict with {_declaration(source)}"
            return [*locked, self._constrained(locked, added, tree, blame)]
        fault = f"cannot be resolved, alone or together with {REQUIREMENTS}"
        if source.kind != "package" and source.dependencies["by"] == "nothing":
            fault = "cannot be resolved together"
        blame = f"{_declaration(source)} {fault}"
        try:
            return [self._compile(self._inputs(source, added, tree), tree, blame, self.subdirectory)]
        except WheelError as exc:
            if UNSOLVABLE not in exc.fault or blame.startswith(REQUIREMENTS):
                raise
            # The source may pin a package of the server to an unsupported version.
            own = self._compile(self._inputs(source, [], tree), tree, blame, self.subdirectory)
            try:
                return [own, self._constrained([own], added, tree, blame)]
            except WheelError:
                raise exc from None

    def _inputs(self, source: Resolved, lines: Sequence[str], tree: Path) -> list[str]:
        """Return the inputs of a resolution of the dependencies of *source* together with *lines*."""
        dependencies, lines, inputs = source.dependencies, list(lines), []
        if source.kind == "package":
            lines.append(source.details["requirement"])
        elif dependencies["by"] == "requirements":
            inputs += map(as_argument, dependencies.get("files", [DEFAULT_FILE]))
            lines += [str(tree / self.subdirectory)] if dependencies.get("install") else []
        elif dependencies["by"] == "project":
            extras = f"[{','.join(dependencies['extras'])}]" if "extras" in dependencies else ""
            lines += [f"{tree / self.subdirectory}{extras}", *dependencies.get("requirements", [])]
        elif dependencies["by"] == "list":
            lines += dependencies["requirements"]
        return [*inputs, write_lines(tree.parent / "requirements.txt", lines)]

    def _locked(self, source: Resolved, tree: Path) -> list[dict[str, Any]] | None:
        """Return the resolutions of the locked dependencies of *source* and of the project; None if nothing is locked."""
        dependencies = source.dependencies
        project = tree / self.subdirectory
        blame = f"{_declaration(source)} cannot be read"
        if source.kind == "package":
            return None
        if dependencies["by"] == "lock":
            return [read_pylock(self.tools.uv(_export_options(dependencies), project, blame), tree, project)]
        if dependencies["by"] == "pylock":
            text = (project / dependencies["file"]).read_text(encoding="utf-8")
            locked = [select(read_pylock(text, tree, project), dependencies)]
        elif dependencies["by"] == "exported":
            exported = write_lines(tree.parent / "exported.txt", dependencies["lines"])
            hashes: dict[str, list[str]] = {}
            for line in dependencies["lines"]:
                add_hashes(hashes, line)
            locked = [only_hashed(self._compile(["--no-deps", exported], tree, blame, self.subdirectory), hashes)]
        elif dependencies.get("hashed"):
            hashes = read_declarations(str(source.archive), dependencies, source.subdirectory).hashes
            return [only_hashed(self._compile(self._inputs(source, [], tree), tree, blame, self.subdirectory), hashes)]
        else:
            return None
        if dependencies.get("install"):
            listed = write_lines(tree.parent / "project.txt", [str(project)])
            blame = "asgi_app_source has a project that cannot be read"
            locked.append(self._compile(["--no-deps", listed], tree, blame, self.subdirectory))
        return locked

    def _constrained(
        self, locked: Sequence[dict[str, Any]], lines: Sequence[str], tree: Path, blame: str
    ) -> dict[str, Any]:
        """Return the resolution of *lines* with the versions of *locked* as constraints, except those that the server does not support.

        Those packages are removed from *locked*.
        """
        replaced = unsupported(locked, self.settings.server_requirements)
        pins = [
            f"{package['name']}=={package['version']}{' ; ' + package['marker'] if package['marker'] else ''}"
            for part in locked
            for package in part["packages"]
            if package["version"] and "directory" not in package and package["name"] not in replaced
        ]
        inputs = [
            write_lines(tree.parent / "requirements.txt", lines),
            "--constraint",
            write_lines(tree.parent / "constraints.txt", pins),
        ]
        found = self._compile(inputs, tree, blame)
        installed = {package["name"]: package["version"] for package in found["packages"]}
        for name, pinned in replaced.items():
            self.overridden.append({"package": name, "pinned": pinned, "installed": installed.get(name, "")})
        for part in locked:
            part["packages"] = [package for package in part["packages"] if package["name"] not in replaced]
        return found

    def _compile(self, inputs: Sequence[str], tree: Path, blame: str, subdirectory: str = "") -> dict[str, Any]:
        """Return the resolution of *inputs*, for the oldest supported Python that they allow."""
        floor: str | None = python_floor(self.settings.python)
        project = tree / subdirectory
        while True:
            argv = ["pip", "compile", "--universal", "--python-version", floor, "--format", "pylock.toml"]
            try:
                return read_pylock(self.tools.uv([*argv, "--quiet", *inputs], project, blame), tree, project)
            except WheelError as exc:
                floor = raised_floor(exc.fault, floor)
                if floor is None:
                    raise

    def _resolve_uv(self) -> dict[str, Any]:
        """Return the resolution of uv itself, for a host that does not have it."""

        def compute() -> dict[str, Any]:
            with tempfile.TemporaryDirectory(dir=self.place) as directory:
                tree = Path(directory) / "tree"
                tree.mkdir()
                wanted = write_lines(tree.parent / "requirements.txt", [f"uv=={self.settings.uv_version}"])
                return self._compile([wanted], tree, "asgi_app_uv_version cannot be resolved")

        index = without_credentials(self.settings.index_url or "")
        key = digest([FORMAT, self.settings.uv_version, python_floor(self.settings.python), index])
        return self.cache.cached("resolutions", key, compute)

    def _checked_uv(self, item: Wanted) -> Wanted:
        """Return *item*, a wheel of uv from the index; raise WheelError if its hash is not pinned."""
        if item.build or item.sha256 not in uv_hashes(self.settings.uv_version, self.settings.uv_hashes):
            fault = (
                f"is an index whose {file_name(item.url)} has an unexpected SHA-256, {item.sha256 or 'unknown'}, "
                "so an attacker may have replaced it"
            )
            remedy = "check the index; for another build of uv, set asgi_app_uv_hashes"
            raise WheelError("uv-hash-mismatch", "asgi_app_index_url", fault, remedy)
        return item

    # Wheels

    def _fetch(self, wanted: Sequence[Wanted], source: Resolved, tree: Path, target: Target) -> list[dict[str, str]]:
        """Return the *wanted* wheels; download or build those that the cache does not have."""
        found = {item.name: wheel for item in wanted if (wheel := self._stored(item))}
        for item in wanted:
            if not item.build and item.name not in found and (file := path_in(tree, item.url)):
                found[item.name] = self.cache.store(file, item)
        missing = [item for item in wanted if not item.build and item.name not in found]
        if missing:
            found.update(self._download(missing, target))
        for item in wanted:
            if item.build:
                wheel = self._built(item, source, tree)
                check_built(item, wheel["file"], target, platform.libc_ver())
                found[item.name] = wheel
        return [found[item.name] for item in wanted]

    def _stored(self, item: Wanted) -> dict[str, str] | None:
        if item.build or not item.sha256:
            return None
        wheel = describe_wheel(file_name(item.url), item.sha256)
        return wheel if self.cache.has(wheel) else None

    def _download(self, wanted: Sequence[Wanted], target: Target) -> dict[str, dict[str, str]]:
        with tempfile.TemporaryDirectory(dir=self.place) as directory:
            into = Path(directory)
            listed = write_lines(into / "wheels.txt", [f"{item.name} @ {item.url}" for item in wanted])
            argv = ["download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
            argv += ["--python-version", "{}.{}".format(*target.minor), "--implementation", "cp"]
            argv += [f"--abi={abi}" for abi in ("cp{}{}".format(*target.minor), "abi3", "none")]
            argv += [f"--platform={name}" for name in target.platforms()]
            blame = f"{VARIABLE} is true, and wheels cannot be downloaded"
            self.tools.pip([*argv, "--dest", str(into), "--requirement", listed], into, blame)
            return {item.name: self.cache.store(into / file_name(item.url), item) for item in wanted}

    def _built(self, item: Wanted, source: Resolved, tree: Path) -> dict[str, str]:
        """Return the wheel that this controller builds from *item*, or has built from the same source before."""
        local = path_in(tree, item.url)
        origin = [source.digest, item.url] if item.directory or local else [item.sha256 or item.url]

        def compute() -> dict[str, str]:
            with tempfile.TemporaryDirectory(dir=self.place) as directory:
                into = Path(directory)
                url = local.as_uri() if local else item.url
                requirement = str(tree / item.url) if item.directory else f"{item.name} @ {url}"
                if item.sha256:
                    requirement += f"#sha256={item.sha256}"
                elif item.accepted:
                    requirement += "".join(f" --hash=sha256:{each}" for each in item.accepted)
                listed = write_lines(into / "build.txt", [requirement])
                blame = f"{VARIABLE} is true, but {item.name} {item.version} has no wheel and cannot be built here"
                remedy = (
                    f"require a version of {item.name} that has a wheel for the hosts, add one to the index, or "
                    f"install its build dependencies on the controller; or {WITHOUT}"
                )
                argv = ["wheel", "--no-deps", "--ignore-requires-python", "--wheel-dir", str(into)]
                self.tools.pip([*argv, "--requirement", listed], into, blame.replace("  ", " "), remedy)
                [file] = into.glob("*.whl")
                return self.cache.store(file)

        key = digest([FORMAT, origin, sys.version_info[:2], platform.system(), platform.machine()])
        wheel = self.cache.cached("built", key, compute)
        if not self.cache.has(wheel):
            self.cache.drop("built", key)
            wheel = self.cache.cached("built", key, compute)
        return wheel
