# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve what a release needs once for all hosts, and keep the wheels of it on the controller.

The cache outlives the run: resolutions by what was asked for, wheels by their content. With everything in it, nothing
is downloaded. What comes from the index comes through uv and pip, with this account's configuration of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.environment import hide
from ansible_collections.asgi.deploy.plugins.module_utils.release import (
    ARGUMENTS,
    last_lines,
    mask_urls,
    without_credentials,
)
from ansible_collections.asgi.deploy.plugins.module_utils.release_archive import extract
from ansible_collections.asgi.deploy.plugins.module_utils.release_build import MISLEADING
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import Resolved, once
from ansible_collections.asgi.deploy.plugins.plugin_utils.wheels import (
    VARIABLE,
    WITHOUT,
    Target,
    Wanted,
    WheelError,
    check_built,
    choose,
    describe_wheel,
    file_name,
    python_floor,
    raised_floor,
    read_pylock,
    resolved_digest,
)

# Part of the names in the cache: raise it when the same question is to be answered in another way.
FORMAT = 1

# The first whose pip compile --universal writes a pylock.toml as it is read here.
OLDEST_UV = (0, 8, 0)

TOOL_SECONDS = 1800
UNUSED_DAYS = 90

OURS = "asgi_app_requirements and asgi_app_server_requirements"
WHAT = {
    "lock": "the uv.lock of asgi_app_source",
    "requirements": "the requirements.txt of asgi_app_source",
    "project": "the project of asgi_app_source",
    "list": "the pyproject.toml of asgi_app_source",
    "package": "asgi_app_source.package",
    "nothing": OURS,
}


class Settings(NamedTuple):
    """What of the role's variables has a part in which wheels there are, and in how they are fetched."""

    python: str
    requirements: Sequence[str]
    server_requirements: Sequence[str]
    uv_version: str
    index_url: str | None
    ca_bundle: str
    build_environment: Mapping[str, str]


def resolve_wheels(source: Resolved, settings: Settings, directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what *source* and the requirements were resolved to, for all hosts: ``key``, ``parts`` and ``digest``.

    Asked again with the same source and requirements, the answer is the first one's, in later runs too. Raises
    SourceError.
    """
    key = _digest([FORMAT, _question(source, settings)])
    return once(directory, "resolution", key, lambda place: _Wheelhouse(settings, place).resolve(source, key))


def provide_wheels(
    source: Resolved,
    settings: Settings,
    resolution: Mapping[str, Any],
    target: Target,
    with_uv: bool,
    directory: str | os.PathLike[str],
) -> dict[str, list[dict[str, str]]]:
    """Return the wheels that a host needs, all of them in the cache: ``release``, and ``tools`` if it lacks uv."""
    question = [resolution["key"], target, with_uv]
    return once(
        directory,
        "wheelhouse",
        question,
        lambda place: _Wheelhouse(settings, place).provide(source, resolution, target, with_uv),
    )


def pack_wheels(wheels: Sequence[Mapping[str, str]], directory: str | os.PathLike[str]) -> str:
    """Return the path of an archive of these *wheels* of the cache; hosts that need the same get the same file."""

    def pack(place: Path) -> dict[str, str]:
        archive = place / "wheels.tar"
        with tarfile.open(archive, "w") as tar:
            for wheel in wheels:
                name = f"{wheel['sha256']}/{wheel['file']}"
                tar.add(_cache() / "wheels" / name, arcname=name, filter=_nobody_s)
        return {"archive": str(archive)}

    return once(directory, "shipment", sorted(wheel["sha256"] for wheel in wheels), pack)["archive"]


def _nobody_s(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _question(source: Resolved, settings: Settings) -> list[Any]:
    # The whole source: a requirements.txt may include other files, and a project may compute what it depends on.
    return [
        source.digest,
        source.dependencies,
        python_floor(settings.python),
        sorted(settings.requirements),
        sorted(settings.server_requirements),
        settings.uv_version,
        without_credentials(settings.index_url or ""),
    ]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "asgi"


def tool_environment(settings: Settings, caller: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Return the environment of uv and pip on the controller. Credentials go here, never into a command line."""
    environment = {
        **{key: value for key, value in caller.items() if not key.startswith(MISLEADING)},
        "LC_ALL": "C.UTF-8",
        "PIP_CACHE_DIR": str(cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    given = settings.ca_bundle != ARGUMENTS["ca_bundle"]["default"]
    bundle = settings.ca_bundle if Path(settings.ca_bundle).is_file() else ssl.get_default_verify_paths().cafile
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"):
        if bundle and (given or name not in environment):
            environment[name] = bundle
    if settings.index_url:
        environment["UV_DEFAULT_INDEX"] = environment["PIP_INDEX_URL"] = settings.index_url
    environment.update(settings.build_environment)
    return {**_for_pip(environment), **environment}


def _for_pip(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what *environment* tells uv of indexes as pip understands it; pip builds, and looks for credentials there."""
    default = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    others = f"{environment.get('UV_INDEX', '')} {environment.get('UV_EXTRA_INDEX_URL', '')}".split()
    told = {"PIP_INDEX_URL": default, "PIP_EXTRA_INDEX_URL": " ".join(map(_without_name, others))}
    return {key: _without_name(value) for key, value in told.items() if value}


def _without_name(index: str) -> str:
    """Return the URL of an *index* of uv, which may be ``name=url``."""
    name, equals, url = index.partition("=")
    return url if equals and "/" not in name else index


class _Wheelhouse:
    """The controller's cache, with uv and pip to fill it; *place* is a directory of this run."""

    def __init__(self, settings: Settings, place: Path) -> None:
        self.settings = settings
        self.place = place
        self.cache = _cache()

    def resolve(self, source: Resolved, key: str) -> dict[str, Any]:
        def answer() -> dict[str, Any]:
            with self._tree(source) as tree:
                parts = self._resolve(source, tree)
            return {"key": key, "parts": parts, "digest": resolved_digest(parts)}

        return self._kept("resolutions", key, answer)

    def provide(
        self, source: Resolved, resolution: Mapping[str, Any], target: Target, with_uv: bool
    ) -> dict[str, list[dict[str, str]]]:
        wanted = {"release": choose(resolution["parts"], target), "tools": []}
        if with_uv:
            wanted["tools"] = choose([self._uv()], target)

        def answer() -> dict[str, list[dict[str, str]]]:
            self._forget()
            with self._tree(source) as tree:
                return {kind: self._fetch(items, source, tree, target) for kind, items in wanted.items()}

        key = _digest([FORMAT, resolution["key"], target, with_uv and self.settings.uv_version])
        found = self._kept("sets", key, answer)
        if not all(self._have(wheel) for wheels in found.values() for wheel in wheels):
            self._path("sets", key).unlink()
            found = self._kept("sets", key, answer)
        return found

    # What was asked before

    def _path(self, kind: str, key: str) -> Path:
        return self.cache / kind / f"{key}.json"

    def _kept(self, kind: str, key: str, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what the cache has for *key*, or *answer*, which it then has."""
        path = self._path(kind, key)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found = answer()
            self._provide_directory(path.parent)
            temporary = path.with_name(f"{key}.{os.getpid()}")
            temporary.write_text(json.dumps(found), encoding="utf-8")
            temporary.replace(path)
        else:
            os.utime(path)
        return found

    def _provide_directory(self, path: Path) -> None:
        # resolutions may have credentials in addresses that somebody required
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _have(self, wheel: Mapping[str, str]) -> bool:
        directory = self.cache / "wheels" / wheel["sha256"]
        if not (directory / wheel["file"]).is_file():
            return False
        os.utime(directory)
        return True

    def _forget(self) -> None:
        """Remove what has not been used for a long time."""
        oldest = time.time() - UNUSED_DAYS * 86400
        for kind in ("resolutions", "sets", "built", "wheels"):
            for path in self.cache.glob(f"{kind}/*"):
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    # Resolution

    @contextmanager
    def _tree(self, source: Resolved):
        """Yield the directory that requirements of *source* are read in, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.place) as directory:
            tree = Path(directory).resolve() / "tree"
            tree.mkdir()
            if source.archive:
                extract(source.archive, str(tree))
            yield tree

    def _resolve(self, source: Resolved, tree: Path) -> list[dict[str, Any]]:
        lines = [*self.settings.requirements, *self.settings.server_requirements]
        by = "package" if source.kind == "package" else source.dependencies["by"]
        blame = f"cannot be resolved, alone or together with {OURS}"
        inputs: list[str] = []
        if by == "lock":
            return self._resolve_lock(lines, tree)
        if by == "package":
            lines.append(source.details["requirement"])
        elif by == "requirements":
            inputs.append("requirements.txt")
        elif by == "project":
            lines.append(str(tree))
        elif by == "list":
            lines += source.dependencies["requirements"]
        else:
            blame = "cannot be resolved together"
        inputs.append(_write(tree.parent / "requirements.txt", lines))
        return [self._compile(inputs, tree, WHAT[by], blame)]

    def _resolve_lock(self, lines: Sequence[str], tree: Path) -> list[dict[str, Any]]:
        """Return what uv.lock says, and what is added with versions that it does not contradict."""
        fault = f"{WHAT['lock']} cannot be read"
        export = ["export", "--frozen", "--no-dev", "--no-editable", "--no-header", "--no-annotate", "--quiet"]
        locked = read_pylock(self._uv_says([*export, "--format", "pylock.toml"], tree, fault), tree)
        pins = [
            f"{package['name']}=={package['version']}{' ; ' + package['marker'] if package['marker'] else ''}"
            for package in locked["packages"]
            if package["version"] and "directory" not in package
        ]
        inputs = [
            _write(tree.parent / "requirements.txt", lines),
            "--constraint",
            _write(tree.parent / "constraints.txt", pins),
        ]
        return [locked, self._compile(inputs, tree, OURS, f"do not agree with {WHAT['lock']}")]

    def _compile(self, inputs: Sequence[str], tree: Path, variable: str, blame: str) -> dict[str, Any]:
        """Return the resolution of *inputs*, for the oldest Python that they allow of those that hosts may have."""
        floor: str | None = python_floor(self.settings.python)
        while True:
            argv = ["pip", "compile", "--universal", "--python-version", floor, "--format", "pylock.toml"]
            try:
                return read_pylock(self._uv_says([*argv, "--quiet", *inputs], tree, f"{variable} {blame}"), tree)
            except WheelError as exc:
                floor = raised_floor(exc.fault, floor)
                if floor is None:
                    raise

    def _uv_says(self, arguments: Sequence[str], tree: Path, blame: str) -> str:
        return self._run([str(self._tools() / "bin" / "uv"), *arguments], tree, blame)

    # Tools

    def _tools(self) -> Path:
        """Return a virtual environment of the controller with pip and the uv that the hosts have."""
        version = self.settings.uv_version
        tools = self.cache / "tools" / f"uv-{version}-py{sys.version_info[0]}.{sys.version_info[1]}"
        if not (tools / "bin" / "python").exists():
            self._provide_directory(tools.parent)
            with tempfile.TemporaryDirectory(dir=tools.parent) as directory:
                made = Path(directory) / "made"
                remedy = "install it there, as the Debian package python3-venv does"
                self._run(
                    [sys.executable, "-m", "venv", str(made)],
                    Path("/"),
                    f"{VARIABLE} is true and needs a Python that can make virtual environments on the controller",
                    remedy,
                )
                blame = f"asgi_app_uv_version ({version}) cannot be installed on the controller, as {VARIABLE} needs"
                self._run([*_pip(made), "install", f"uv=={version}"], Path("/"), blame)
                # both are found from where they are: bin/uv is a program, and pip is run as a module
                shutil.rmtree(tools, ignore_errors=True)
                made.rename(tools)
        return tools

    def _uv(self) -> dict[str, Any]:
        """Return the resolution of uv itself, for a host that has not got it."""

        def answer() -> dict[str, Any]:
            with tempfile.TemporaryDirectory(dir=self.place) as directory:
                tree = Path(directory) / "tree"
                tree.mkdir()
                wanted = _write(tree.parent / "requirements.txt", [f"uv=={self.settings.uv_version}"])
                return self._compile([wanted], tree, "asgi_app_uv_version", "cannot be had")

        key = _digest([FORMAT, self.settings.uv_version, without_credentials(self.settings.index_url or "")])
        return self._kept("resolutions", key, answer)

    # Wheels

    def _fetch(self, wanted: Sequence[Wanted], source: Resolved, tree: Path, target: Target) -> list[dict[str, str]]:
        """Return the wheels of what is *wanted*, downloaded or built where the cache has not got them."""
        found = {item.name: wheel for item in wanted if (wheel := self._stored(item))}
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
        return wheel if self._have(wheel) else None

    def _download(self, wanted: Sequence[Wanted], target: Target) -> dict[str, dict[str, str]]:
        with tempfile.TemporaryDirectory(dir=self.place) as directory:
            into = Path(directory)
            lines = [f"{item.name} @ {item.url}" for item in wanted]
            listed = _write(into / "wheels.txt", lines)
            argv = [*_pip(self._tools()), "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
            argv += ["--python-version", "{}.{}".format(*target.minor), "--implementation", "cp"]
            argv += [f"--abi={abi}" for abi in ("cp{}{}".format(*target.minor), "abi3", "none")]
            argv += [f"--platform={name}" for name in target.platforms()]
            blame = f"{VARIABLE} is true, and wheels cannot be downloaded"
            self._run([*argv, "--dest", str(into), "--requirement", listed], into, blame)
            return {item.name: self._store(into / file_name(item.url), item) for item in wanted}

    def _built(self, item: Wanted, source: Resolved, tree: Path) -> dict[str, str]:
        """Return the wheel that the controller builds, or built before from the same."""
        origin = [source.digest, item.url] if item.directory else [item.sha256 or item.url]

        def answer() -> dict[str, str]:
            with tempfile.TemporaryDirectory(dir=self.place) as directory:
                into = Path(directory)
                what = str(tree / item.url) if item.directory else f"{item.name} @ {item.url}"
                if item.sha256:
                    what += f"#sha256={item.sha256}"
                listed = _write(into / "build.txt", [what])
                blame = f"{VARIABLE} is true, but {item.name} {item.version} has no wheel and cannot be built here"
                remedy = (
                    f"require a version of {item.name} that has a wheel for the hosts, put one into the index, or "
                    f"install on the controller what building it takes; or {WITHOUT}"
                )
                argv = [
                    *_pip(self._tools()),
                    "wheel",
                    "--no-deps",
                    "--ignore-requires-python",
                    "--wheel-dir",
                    str(into),
                    "--requirement",
                    listed,
                ]
                self._run(argv, into, blame.replace("  ", " "), remedy)
                [file] = into.glob("*.whl")
                return self._store(file)

        key = _digest([FORMAT, origin, sys.version_info[:2], platform.system(), platform.machine()])
        wheel = self._kept("built", key, answer)
        if not self._have(wheel):
            self._path("built", key).unlink()
            wheel = self._kept("built", key, answer)
        return wheel

    def _store(self, file: Path, item: Wanted | None = None) -> dict[str, str]:
        """Move a wheel to where its content leads to, and return it; raise WheelError if it is not what was locked."""
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if item and item.sha256 and sha256 != item.sha256:
            fault = f"leads to an index whose {file.name} is not what it says: SHA-256 {sha256}, not {item.sha256}"
            raise WheelError("asgi_app_index_url", fault, "see who answers in its place, or have the index repaired")
        directory = self.cache / "wheels" / sha256
        if not (directory / file.name).is_file():
            self._provide_directory(directory)
            temporary = directory / f".{os.getpid()}"
            shutil.copyfile(file, temporary)
            temporary.replace(directory / file.name)
        return describe_wheel(file.name, sha256)

    def _run(self, argv: Sequence[str], where: Path, blame: str, remedy: str = "") -> str:
        """Run a tool and return what it printed; raise WheelError with *blame* and what it said if it fails."""
        try:
            done = subprocess.run(
                argv,
                cwd=where,
                env=tool_environment(self.settings, os.environ, self.cache),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TOOL_SECONDS,
                check=False,
            )
            said = done.stderr or done.stdout
        except (OSError, subprocess.TimeoutExpired) as exc:
            said = str(exc)
        else:
            if not done.returncode:
                return done.stdout
        variable, _space, fault = blame.partition(" ")
        said = last_lines(mask_urls(hide(said, dict(self.settings.build_environment))))
        raise WheelError(variable, f"{fault}:\n{said}\n", remedy or _remedy(said))


def _remedy(said: str) -> str:
    if "No solution found" in said:
        return "change the requirements so that they agree"
    return "see that the controller reaches the index (asgi_app_index_url, asgi_app_build_env, asgi_app_ca_bundle)"


def _write(path: Path, lines: Iterable[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def _pip(environment: Path) -> list[str]:
    return [str(environment / "bin" / "python"), "-m", "pip", "--quiet"]


def _digest(question: Any) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
