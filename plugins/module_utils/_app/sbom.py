# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the software bill of materials of a release, CycloneDX 1.6 in JSON, from the metadata of its installed packages.

Reading the metadata executes no code of the release, follows no symlinks, and limits the size of each file. The document is reproducible.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from typing import NamedTuple
from urllib.parse import quote

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import without_credentials

FILE_NAME = "sbom.cdx.json"

METADATA_BYTES = 1 << 20
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/asgi-deploy/asgi.deploy")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIRED = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_LICENCE_LENGTH = 100
_OF_ALGORITHM = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_DIGITS = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-384": 96, "SHA-512": 128}


class Distribution(NamedTuple):
    """An installed package: the headers of its METADATA, and its direct_url.json."""

    name: str
    version: str
    licence: dict
    requires: list
    origin: dict

    @property
    def key(self) -> str:
        return normalised(self.name)


def normalised(name: str) -> str:
    """Return the normalised *name* of a package, PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sbom(manifest: Mapping, distributions: Iterable[Distribution], wheels: Iterable[Mapping] = ()) -> dict:
    """Return the document for the release with this *manifest*, the content of its release.json.

    *wheels* lists the wheels that were installed, if their hashes are known.
    """
    hashes = {(normalised(wheel["name"]), wheel["version"]): wheel["sha256"] for wheel in wheels}
    found = {each.key: each for each in sorted(distributions, key=lambda each: (each.key, each.version))}
    app, python = f"app:{manifest['app']}", "python"
    references = {key: _purl(each) for key, each in found.items()}
    edges = {key: _edges(each, references) for key, each in found.items()}
    required = {reference for key, targets in edges.items() for reference in targets if reference != references[key]}
    top = [reference for reference in references.values() if reference not in required]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(NAMESPACE, f"{manifest['app']}/{manifest['id']}").urn,
        "version": 1,
        "metadata": {
            "timestamp": manifest["built_at"],
            "tools": {"components": [{"type": "application", "group": "asgi", "name": "deploy"}]},
            "component": {
                "type": "application",
                "bom-ref": app,
                "name": manifest["app"],
                "version": manifest["id"],
                "properties": [
                    {"name": f"asgi.deploy:source.{key}", "value": str(value)}
                    for key, value in sorted(manifest["source"].items())
                ],
            },
        },
        "components": [
            *(_component(each, references[key], hashes.get((key, each.version))) for key, each in found.items()),
            {"type": "platform", "bom-ref": python, "name": "python", "version": manifest["python"]},
        ],
        "dependencies": [
            {"ref": app, "dependsOn": [*top, python]},
            *({"ref": references[key], "dependsOn": targets} for key, targets in edges.items()),
            {"ref": python},
        ],
    }


def as_text(document: Mapping) -> str:
    return json.dumps(document, indent=2) + "\n"


def _purl(package: Distribution) -> str:
    return f"pkg:pypi/{package.key}@{quote(package.version, safe='')}"


def _edges(package: Distribution, references: Mapping) -> list:
    """Return the installed requirements of *package*. Requirements of extras are omitted, because no file records the requested extras."""
    names = (_REQUIRED.match(line) for line in package.requires if "extra" not in line.partition(";")[2])
    found = {references[key] for key in (normalised(name[1]) for name in names if name) if key in references}
    return sorted(found)


def _component(package: Distribution, reference: str, sha256: str | None) -> dict:
    component = {
        "type": "library",
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "purl": reference,
    }
    hashes = [{"alg": "SHA-256", "content": sha256}] if sha256 else _hashes(package.origin)
    if hashes:
        component["hashes"] = hashes
    if package.licence:
        component["licenses"] = [package.licence]
    url = package.origin.get("url")
    if isinstance(url, str) and not url.startswith("file:"):
        kind = "vcs" if isinstance(package.origin.get("vcs_info"), dict) else "distribution"
        shown = quote(without_credentials(url), safe=":/?#[]@!$&'()*+,;=%~")
        component["externalReferences"] = [{"type": kind, "url": shown}]
    return component


def _hashes(origin: Mapping) -> list:
    archive = origin.get("archive_info")
    given = archive.get("hashes") if isinstance(archive, dict) else None
    found = []
    for name, digits in sorted(given.items()) if isinstance(given, dict) else ():
        algorithm = _OF_ALGORITHM.get(name)
        if algorithm and re.fullmatch(f"[0-9a-f]{{{_DIGITS[algorithm]}}}", str(digits)):
            found.append({"alg": algorithm, "content": digits})
    return found


# Installed packages


def read_distributions(venv: str) -> list:
    """Return the packages in a virtual environment from their metadata on disk."""
    found = []
    with contextlib.ExitStack() as stack:
        for directory in _site_packages(venv, stack):
            for entry in sorted(name for name in os.listdir(directory) if name.endswith(".dist-info")):
                with contextlib.suppress(OSError), _directory(entry, directory) as info:
                    package = _distribution(info)
                    if package:
                        found.append(package)
    return found


def _site_packages(venv: str, stack: contextlib.ExitStack) -> Iterator[int]:
    lib = stack.enter_context(_directory(os.path.join(venv, "lib")))
    for name in sorted(os.listdir(lib)):
        if re.fullmatch(r"python3\.\d+t?", name):
            python = stack.enter_context(_directory(name, lib))
            yield stack.enter_context(_directory("site-packages", python))


@contextlib.contextmanager
def _directory(name: str, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _distribution(info: int) -> Distribution | None:
    headers = HeaderParser().parsestr((_read("METADATA", info) or "").partition("\n\n")[0])
    name, version = headers.get("Name", "").strip(), headers.get("Version", "").strip()
    if not _NAME.fullmatch(name) or not version or not version.isprintable():
        return None
    try:
        origin = json.loads(_read("direct_url.json", info) or "{}")
    except ValueError:
        origin = {}
    return Distribution(
        name=name,
        version=version,
        licence=_licence(headers),
        requires=[str(line) for line in headers.get_all("Requires-Dist", [])],
        origin=origin if isinstance(origin, dict) else {},
    )


def _licence(headers) -> dict:
    """Return the licence as a CycloneDX entry: the package's SPDX expression, or else a name."""
    expression = " ".join(str(headers.get("License-Expression", "")).split())
    if expression and len(expression) <= _LICENCE_LENGTH:
        return {"expression": expression}
    classifiers = [str(line) for line in headers.get_all("Classifier", []) if str(line).startswith("License :: ")]
    # In some packages, this field contains the whole text of the licence.
    field = str(headers.get("License", "")).strip()
    name = classifiers[0].rpartition(" :: ")[2] if classifiers else field
    return {"license": {"name": name}} if name and "\n" not in name and len(name) <= _LICENCE_LENGTH else {}


def _read(name: str, directory: int) -> str | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        # Truncation keeps the headers, which come first in METADATA.
        return file.read(METADATA_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
