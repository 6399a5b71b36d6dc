# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be decided about wheels without fetching one: which of a resolution a target needs, and whether one fits.

A resolution is made by uv for all targets at once (a pylock.toml); a target is the Python of a host, as it told of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ansible_collections.asgi.deploy.plugins.module_utils.release import without_credentials
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import SourceError

try:
    from packaging.markers import Marker
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag, compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
except ImportError:
    # ansible-core requires it; ansible-test imports plugins without
    Marker = None

VARIABLE = "asgi_app_wheelhouse"
WITHOUT = f"set {VARIABLE} to false, if the hosts reach an index"

# The Python of the oldest distribution that is supported.
OLDEST_PYTHON = "3.11"

# Names of platforms from before they said the version of glibc, by the version that they stand for.
LEGACY_PLATFORMS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


class WheelError(SourceError):
    """The wheels cannot be had: which variable, what is wrong, what would be right."""


class Target(NamedTuple):
    """The Python that wheels are for, as the host tells of it."""

    python: str
    implementation: str
    abiflags: str
    bits: int
    machine: str
    libc: str
    libc_version: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.machine} with {self.libc} {self.libc_version}"

    @property
    def minor(self) -> tuple[int, int]:
        return _two_numbers(self.python)

    @property
    def glibc(self) -> tuple[int, int]:
        return _two_numbers(self.libc_version)

    def check(self) -> None:
        """Raise WheelError if wheels for this target cannot be told by their names here."""
        if self.implementation != "cpython" or self.abiflags or self.bits != 64 or self.libc != "glibc":
            kind = f"{self.implementation}, ABI flags {self.abiflags or 'none'}, {self.bits} bits"
            fault = f"is true, and a host has {self} ({kind}), which it cannot provide for"
            raise WheelError(VARIABLE, fault, f"give such hosts a 64-bit CPython on glibc, or {WITHOUT}")

    def marker_environment(self) -> dict[str, str]:
        """Return what markers of requirements are evaluated with: the host's, not the controller's."""
        return {
            "implementation_name": self.implementation,
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": "{}.{}".format(*self.minor),
            "sys_platform": "linux",
        }

    def platforms(self) -> list[str]:
        """Return the platform tags that it takes, the closest one first."""
        major, newest = self.glibc
        oldest = 5 if self.machine == "x86_64" else 17
        names = []
        for version in range(newest, oldest - 1, -1):
            names.append(f"manylinux_{major}_{version}_{self.machine}")
            if version in LEGACY_PLATFORMS:
                names.append(f"{LEGACY_PLATFORMS[version]}_{self.machine}")
        return [*names, f"linux_{self.machine}"]

    def tags(self) -> Iterator[Tag]:
        """Yield the tags of wheels that it takes, the best one first."""
        interpreter = "cp{}{}".format(*self.minor)
        platforms = self.platforms()
        yield from cpython_tags(self.minor, abis=[interpreter], platforms=platforms)
        yield from compatible_tags(self.minor, interpreter=interpreter, platforms=platforms)


class Wanted(NamedTuple):
    """A package that a target needs: the ``url`` of a wheel, or what ``pip wheel`` is to build one from.

    ``sha256`` is what that file has to have, empty if the index does not say. A ``directory`` is below the source.
    """

    name: str
    version: str
    url: str
    sha256: str
    build: bool
    directory: bool = False


def python_floor(python: str) -> str:
    """Return the oldest Python that a release with this asgi_app_python may have."""
    found = re.search(r"python(3\.\d+)", python)
    return found.group(1) if found else OLDEST_PYTHON


def raised_floor(said: str, floor: str) -> str | None:
    """Return the Python that is needed by what uv *said* of a failed resolution for *floor*, None if it is not that."""
    found = [_two_numbers(version) for version in re.findall(r"Python\s*>=\s*(\d+\.\d+)", said)]
    higher = [version for version in found if version > _two_numbers(floor)]
    return "{}.{}".format(*min(higher)) if higher else None


def read_pylock(text: str, tree: Path) -> dict[str, Any]:
    """Return what is used of a pylock.toml that uv made in *tree*: no path in it leads out of there but to a file."""
    lock = tomllib.loads(text)
    return {
        "requires_python": lock.get("requires-python", ""),
        "packages": [_package(package, tree) for package in lock.get("packages", [])],
    }


def _package(package: Mapping[str, Any], tree: Path) -> dict[str, Any]:
    found = {"name": package["name"], "version": package.get("version", ""), "marker": package.get("marker", "")}
    found["wheels"] = [_file(wheel, tree) for wheel in package.get("wheels", [])]
    if "sdist" in package:
        found["source"] = _file(package["sdist"], tree)
    if "archive" in package:
        archive = _file(package["archive"], tree)
        if archive["url"].endswith(".whl"):
            found["wheels"].append(archive)
        else:
            found["source"] = archive
    if "vcs" in package:
        vcs = package["vcs"]
        where = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        found["source"] = {"url": f"{vcs['type']}+{vcs['url']}@{vcs['commit-id']}{where}", "sha256": ""}
    if "directory" in package:
        path = (tree / package["directory"]["path"]).resolve()
        if not path.is_relative_to(tree.resolve()):
            fault = f"has a requirement {package['name']} in {path}, which is outside of the tree"
            raise WheelError("asgi_app_source", fault, "move it into the tree, or require it from an index")
        found["directory"] = str(path.relative_to(tree.resolve()))
    return found


def _file(entry: Mapping[str, Any], tree: Path) -> dict[str, str]:
    """Return the address of a file of the lock without its fragment, and its digest."""
    url = entry["url"] if "url" in entry else (tree / entry["path"]).resolve().as_uri()
    return {"url": url.partition("#")[0], "sha256": entry.get("hashes", {}).get("sha256", "")}


def resolved_digest(parts: Iterable[Mapping[str, Any]]) -> str:
    """Return a digest of what was resolved, which becomes part of the release's id.

    Versions and not files: an index may get another wheel of a version at any time.
    """
    lines = sorted(
        "\0".join([package["name"], package["version"] or _origin(package), package["marker"]])
        for part in parts
        for package in part["packages"]
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _origin(package: Mapping[str, Any]) -> str:
    if "directory" in package:
        return package["directory"]
    return without_credentials(json.dumps([package.get("source"), package["wheels"]], sort_keys=True))


def choose(parts: Sequence[Mapping[str, Any]], target: Target) -> list[Wanted]:
    """Return what *target* needs of a resolution; of two parts that have a package, the first one decides."""
    target.check()
    environment = target.marker_environment()
    rank = {tag: number for number, tag in enumerate(target.tags())}
    wanted: dict[str, Wanted] = {}
    for part in parts:
        if not SpecifierSet(part["requires_python"]).contains(target.python, prereleases=True):
            raise WheelError(
                "asgi_app_python",
                f"leads to {target} on a host, and the requirements need Python {part['requires_python']}",
                "name a Python that the host has and that fits, or change the requirements",
            )
        for package in part["packages"]:
            if package["name"] in wanted and part is not parts[0]:
                continue
            if not package["marker"] or Marker(package["marker"]).evaluate(environment):
                wanted[package["name"]] = _choose(package, rank, target)
    return [wanted[name] for name in sorted(wanted)]


def _choose(package: Mapping[str, Any], rank: Mapping[Tag, int], target: Target) -> Wanted:
    name, version = package["name"], package["version"]
    if "directory" in package:
        return Wanted(name, version, package["directory"], "", build=True, directory=True)
    fitting = [(place, wheel) for wheel in package["wheels"] if (place := _place(wheel["url"], rank)) is not None]
    if fitting:
        best = min(fitting, key=lambda found: found[0])[1]
        return Wanted(name, version, best["url"], best["sha256"], build=False)
    if "source" in package:
        return Wanted(name, version, package["source"]["url"], package["source"]["sha256"], build=True)
    fault = f"is true, but {name} {version} has no wheel for {target}, and no source to build one from"
    raise WheelError(VARIABLE, fault, f"require a version of {name} that has one, or {WITHOUT}")


def _place(url: str, rank: Mapping[Tag, int]) -> tuple[int, int] | None:
    """Return how well the wheel at *url* fits, lower is better, None for not at all; the later build is better."""
    try:
        _name, _version, build, tags = parse_wheel_filename(file_name(url))
    except InvalidWheelFilename:
        return None
    places = [rank[tag] for tag in tags if tag in rank]
    return (min(places), -(build[0] if build else 0)) if places else None


def missing(wheels: Mapping[str, Sequence[dict[str, str]]], stored: Iterable[str]) -> list[dict[str, str]]:
    """Return which of a host's *wheels* have to be sent to it, as it has *stored* those with these digests."""
    found = {wheel["sha256"]: wheel for kind in wheels.values() for wheel in kind}
    return [found[digest] for digest in sorted(found.keys() - set(stored))]


def describe_wheel(file: str, sha256: str) -> dict[str, str]:
    """Return a wheel as hosts are told of it, by the name of its *file* and its digest."""
    name, version, _build, _tags = parse_wheel_filename(file)
    return {"name": name, "version": str(version), "file": file, "sha256": sha256}


def file_name(url: str) -> str:
    """Return the name of the file at *url*."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def check_built(wanted: Wanted, file: str, target: Target, libc: tuple[str, str]) -> None:
    """Raise WheelError if the wheel *file*, built on a controller with this *libc*, is not one for *target*."""
    tags = parse_wheel_filename(file)[3]
    fits = any(tag in tags for tag in target.tags())
    if fits and any(tag.platform.startswith("linux_") for tag in tags):
        # such a name tells nothing of the libc that it was linked with
        fits = libc[0] == target.libc and _two_numbers(libc[1]) <= target.glibc
    if not fits:
        fault = f"is true, but {wanted.name} {wanted.version} has no wheel for {target}; built here it is {file}"
        remedy = (
            f"require a version of {wanted.name} that has a wheel, put one into the index, or deploy from a controller "
            f"with that Python, platform and no newer libc; or {WITHOUT}"
        )
        raise WheelError(VARIABLE, fault.replace("  ", " "), remedy)


def _two_numbers(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
