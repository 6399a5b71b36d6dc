# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the wheels of a resolution for a target, without downloading them.

uv resolves the requirements for all targets at once and writes a pylock.toml. A target is the Python of a host.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import without_credentials
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

try:
    from packaging.markers import Marker
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag, compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
except ImportError:
    # ansible-core requires this package, but ansible-test imports plugins without it.
    Marker = None

VARIABLE = "asgi_app_wheelhouse"
WITHOUT = f"set {VARIABLE} to false, if the hosts can reach an index"

# The scheme of URLs of files in the source tree.
IN_TREE = "tree:"

# The Python of the oldest supported distribution.
OLDEST_PYTHON = "3.11"

# Legacy platform tags by the minor version of glibc that they require.
LEGACY_PLATFORMS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


class WheelError(SourceError):
    """The wheels are not available. The error contains the variable, the fault and the remedy."""


class Target(NamedTuple):
    """The Python of a host, as TARGET_PROBE in wheel_store reports it."""

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
        """Raise WheelError if this code does not support the target."""
        if self.implementation != "cpython" or self.abiflags or self.bits != 64 or self.libc != "glibc":
            kind = f"{self.implementation}, ABI flags {self.abiflags or 'none'}, {self.bits} bits"
            fault = f"is true, and a host has {self} ({kind}), which is not supported"
            raise WheelError(
                "wheelhouse-platform-unsupported",
                VARIABLE,
                fault,
                f"install a 64-bit CPython with glibc there, or {WITHOUT}",
            )

    def marker_environment(self) -> dict[str, str]:
        """Return the environment of the host, not of the controller, for the markers of requirements."""
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
        """Return the compatible platform tags, the best one first."""
        major, newest = self.glibc
        oldest = 5 if self.machine == "x86_64" else 17
        names = []
        for version in range(newest, oldest - 1, -1):
            names.append(f"manylinux_{major}_{version}_{self.machine}")
            if version in LEGACY_PLATFORMS:
                names.append(f"{LEGACY_PLATFORMS[version]}_{self.machine}")
        return [*names, f"linux_{self.machine}"]

    def tags(self) -> Iterator[Tag]:
        """Yield the compatible tags of wheels, the best one first."""
        interpreter = "cp{}{}".format(*self.minor)
        platforms = self.platforms()
        yield from cpython_tags(self.minor, abis=[interpreter], platforms=platforms)
        yield from compatible_tags(self.minor, interpreter=interpreter, platforms=platforms)


class Wanted(NamedTuple):
    """A package that a target needs. ``url`` is a wheel, or a source that ``pip wheel`` builds if ``build`` is true.

    ``sha256`` is the expected digest of the file, empty if the index does not publish it. If ``directory`` is true, the URL is a
    path inside the source tree. ``accepted`` are the digests in the requirement, which apply if the index publishes none.
    """

    name: str
    version: str
    url: str
    sha256: str
    build: bool
    directory: bool = False
    accepted: tuple[str, ...] = ()


def python_floor(python: str) -> str:
    """Return the oldest possible version of *python*, a value of asgi_app_python."""
    found = re.search(r"python(3\.\d+)", python)
    return found.group(1) if found else OLDEST_PYTHON


def raised_floor(error: str, floor: str) -> str | None:
    """Return the newer Python that the requirements need according to uv's *error* for *floor*; None if the error has another cause."""
    found = [_two_numbers(version) for version in re.findall(r"Python\s*>=\s*(\d+\.\d+)", error)]
    higher = [version for version in found if version > _two_numbers(floor)]
    return "{}.{}".format(*min(higher)) if higher else None


def read_pylock(text: str, tree: Path, project: Path | None = None) -> dict[str, Any]:
    """Return the required part of a pylock.toml that uv wrote in the directory *project* of *tree*, by default its root.

    Raise WheelError for a directory outside of *tree*.
    """
    project = project or tree
    lock = tomllib.loads(text)
    return {
        "requires_python": lock.get("requires-python", ""),
        "default_groups": lock.get("default-groups", []),
        "packages": [_package(package, tree, project) for package in lock.get("packages", [])],
    }


def select(part: dict[str, Any], dependencies: Mapping[str, Any]) -> dict[str, Any]:
    """Return *part*, the content of a pylock.toml from the source, with the selected groups and extras for its markers."""
    environment = {
        "extras": set(dependencies.get("extras", ())),
        "dependency_groups": {*part["default_groups"], *dependencies.get("groups", ())},
    }
    packages = []
    for package in part["packages"]:
        if re.search(r"\b(?:extras|dependency_groups)\b", package["marker"]):
            package = {**package, "selection": {key: sorted(values) for key, values in environment.items()}}
        packages.append(package)
    return {**part, "packages": packages}


def only_hashed(part: dict[str, Any], hashes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return *part* without the files whose digest is not among the *hashes* of their package; raise WheelError if none remains.

    uv verifies no hashes when it resolves requirements.
    """
    packages = []
    for package in part["packages"]:
        accepted = hashes.get(canonicalize_name(package["name"]))
        if accepted:
            package = {**package, "accepted": sorted(set(accepted))}
            package["wheels"] = [wheel for wheel in package["wheels"] if wheel["sha256"] in ("", *accepted)]
            if package.get("source", {}).get("sha256") not in (None, "", *accepted):
                del package["source"]
            if not package["wheels"] and not {"source", "directory"} & package.keys():
                fault = (
                    f"has hashes for {package['name']} {package['version']}, and the index has no file with one of them"
                )
                remedy = "check for an on-path attacker or an intercepting proxy, or update the hashes in the source"
                raise WheelError("wheel-hash-mismatch", "asgi_app_source", fault, remedy)
        packages.append(package)
    return {**part, "packages": packages}


def unsupported(parts: Iterable[Mapping[str, Any]], requirements: Iterable[str]) -> dict[str, str]:
    """Return the packages in *parts* whose version does not satisfy the server's *requirements*, with that version."""
    specifiers = {}
    for text in requirements:
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(text)
            specifiers[canonicalize_name(requirement.name)] = requirement.specifier
    return {
        package["name"]: package["version"]
        for part in parts
        for package in part["packages"]
        if package["name"] in specifiers
        and package["version"]
        and not specifiers[package["name"]].contains(package["version"], prereleases=True)
    }


def _package(package: Mapping[str, Any], tree: Path, project: Path) -> dict[str, Any]:
    found = {"name": package["name"], "version": package.get("version", ""), "marker": package.get("marker", "")}
    found["wheels"] = [_file(wheel, tree, project) for wheel in package.get("wheels", [])]
    if "sdist" in package:
        found["source"] = _file(package["sdist"], tree, project)
    if "archive" in package:
        archive = _file(package["archive"], tree, project)
        if archive["url"].endswith(".whl"):
            found["wheels"].append(archive)
        else:
            found["source"] = archive
    if "vcs" in package:
        vcs = package["vcs"]
        where = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        found["source"] = {"url": f"{vcs['type']}+{vcs['url']}@{vcs['commit-id']}{where}", "sha256": ""}
    if "directory" in package:
        path = (project / package["directory"]["path"]).resolve()
        if not path.is_relative_to(tree.resolve()):
            fault = f"has a requirement {package['name']} in {path}, which is outside of the tree"
            raise WheelError(
                "requirement-outside-source",
                "asgi_app_source",
                fault,
                "move it into the tree, or require it from an index",
            )
        found["directory"] = str(path.relative_to(tree.resolve()))
    return found


def _file(entry: Mapping[str, Any], tree: Path, project: Path) -> dict[str, str]:
    """Return the URL (without its fragment) and the digest of a file in the lock.

    The URL of a file in *tree*, which is a temporary directory, is relative to it.
    """
    if "url" in entry:
        url = entry["url"]
    else:
        path, root = (project / entry["path"]).resolve(), tree.resolve()
        url = IN_TREE + quote(str(path.relative_to(root))) if path.is_relative_to(root) else path.as_uri()
    return {"url": url.partition("#")[0], "sha256": entry.get("hashes", {}).get("sha256", "")}


def resolved_digest(parts: Iterable[Mapping[str, Any]]) -> str:
    """Return a digest of the resolution for the release's id.

    It depends on versions instead of files, because an index can add wheels of a version at any time.
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
    """Return the packages that *target* needs. If two parts contain a package, the first part takes precedence."""
    target.check()
    environment = target.marker_environment()
    rank = {tag: number for number, tag in enumerate(target.tags())}
    wanted: dict[str, Wanted] = {}
    for part in parts:
        if not SpecifierSet(part["requires_python"]).contains(target.python, prereleases=True):
            raise WheelError(
                "python-does-not-fit",
                "asgi_app_python",
                f"is {target} on a host, and the requirements need Python {part['requires_python']}",
                "set another version, such as '3.13', or change the requirements",
            )
        for package in part["packages"]:
            if package["name"] in wanted and part is not parts[0]:
                continue
            if not package["marker"] or _applies(package, environment):
                wanted[package["name"]] = _choose(package, rank, target)
    return [wanted[name] for name in sorted(wanted)]


def _applies(package: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    if "selection" not in package:
        return Marker(package["marker"]).evaluate(dict(environment))
    selected = {key: set(values) for key, values in package["selection"].items()}
    return Marker(package["marker"]).evaluate({**environment, **selected}, context="lock_file")


def _choose(package: Mapping[str, Any], rank: Mapping[Tag, int], target: Target) -> Wanted:
    name, version, accepted = package["name"], package["version"], tuple(package.get("accepted", ()))
    if "directory" in package:
        return Wanted(name, version, package["directory"], "", build=True, directory=True)
    fitting = [(place, wheel) for wheel in package["wheels"] if (place := _place(wheel["url"], rank)) is not None]
    if fitting:
        best = min(fitting, key=lambda found: found[0])[1]
        return Wanted(name, version, best["url"], best["sha256"], build=False, accepted=accepted)
    if "source" in package:
        source = package["source"]
        return Wanted(name, version, source["url"], source["sha256"], build=True, accepted=accepted)
    fault = f"is true, but {name} {version} has no wheel for {target}, and no source distribution"
    raise WheelError("wheel-missing", VARIABLE, fault, f"require a version of {name} that has a wheel, or {WITHOUT}")


def _place(url: str, rank: Mapping[Tag, int]) -> tuple[int, int] | None:
    """Return the rank of the wheel at *url*, lower is better, None if it is incompatible. A later build has a lower rank."""
    try:
        _name, _version, build, tags = parse_wheel_filename(file_name(url))
    except InvalidWheelFilename:
        return None
    places = [rank[tag] for tag in tags if tag in rank]
    return (min(places), -(build[0] if build else 0)) if places else None


def not_stored(wheels: Mapping[str, Sequence[dict[str, str]]], stored: Iterable[str]) -> list[dict[str, str]]:
    """Return the *wheels* to send to a host that has *stored* the wheels with these digests."""
    found = {wheel["sha256"]: wheel for kind in wheels.values() for wheel in kind}
    return [found[digest] for digest in sorted(found.keys() - set(stored))]


def describe_wheel(file: str, sha256: str) -> dict[str, str]:
    """Return the description of a wheel for hosts, from the name of its *file* and its digest."""
    name, version, _build, _tags = parse_wheel_filename(file)
    return {"name": name, "version": str(version), "file": file, "sha256": sha256}


def path_in(tree: Path, url: str) -> Path | None:
    """Return the path of *url* if it is a file in *tree*."""
    return tree / unquote(url.removeprefix(IN_TREE)) if url.startswith(IN_TREE) else None


def file_name(url: str) -> str:
    """Return the file name in *url*."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def check_built(wanted: Wanted, file: str, target: Target, libc: tuple[str, str]) -> None:
    """Raise WheelError if the wheel *file*, built on a controller with this *libc*, is incompatible with *target*."""
    tags = parse_wheel_filename(file)[3]
    fits = any(tag in tags for tag in target.tags())
    if fits and any(tag.platform.startswith("linux_") for tag in tags):
        # The tag linux_* does not include the version of the C library.
        fits = libc[0] == target.libc and _two_numbers(libc[1]) <= target.glibc
    if not fits:
        fault = f"is true, but {wanted.name} {wanted.version} has no wheel for {target}; the wheel built here is {file}"
        remedy = (
            f"require a version of {wanted.name} that has a wheel, add one to the index, or deploy from a controller "
            f"with that Python, platform and no newer C library; or {WITHOUT}"
        )
        raise WheelError("wheel-missing", VARIABLE, fault.replace("  ", " "), remedy)


def _two_numbers(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
