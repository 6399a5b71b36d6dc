# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a wheel on the controller. It is deployed as a tree with the wheel and a requirements.txt that installs it."""

from __future__ import annotations

import email.parser
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import matches, without_wildcards
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import Refused, check_requirement
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import WHEEL, SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import describe_wheel

# More than any legitimate metadata.
METADATA_BYTES = 4 << 20


class Wheel(NamedTuple):
    """A wheel: its path, its version, and from its metadata the supported Pythons and insecure URLs."""

    path: Path
    version: str
    requires_python: str
    insecure: list[str]


def read_wheel(path: str) -> Wheel:
    """Return the wheel at *path*, whose file name may contain ``*``; raise SourceError if it is not one wheel."""
    file = _only(Path(path))
    try:
        described = describe_wheel(file.name, "")
        metadata = _metadata(file)
        requires_python = without_wildcards(metadata.get("Requires-Python") or "")
        matches(requires_python, "3.11")
    except (OSError, ValueError, zipfile.BadZipFile) as exc:
        raise _invalid(str(file), f"is not a valid wheel: {exc}") from exc
    insecure = []
    for requirement in metadata.get_all("Requires-Dist") or []:
        try:
            declared = check_requirement(requirement)
        except Refused as exc:
            fault = f"requires {requirement!r}: it {exc.fault}"
            raise SourceError("source-declarations-refused", WHEEL, fault, exc.remedy) from exc
        # The installers expand no variables in metadata.
        insecure += [url.replace("it: ", f"{file.name}: ", 1) for url in declared.insecure]
    return Wheel(file, described["version"], requires_python, insecure)


def _only(path: Path) -> Path:
    found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path] * path.is_file()
    if not found:
        raise _invalid(str(path), "does not exist on the controller")
    if len(found) > 1:
        names = ", ".join(each.name for each in found[:3])
        raise _invalid(str(path), f"matches {len(found)} files ({names})")
    return found[0]


def _metadata(file: Path):
    with zipfile.ZipFile(file) as archive:
        [name] = _metadata_names(archive) or [""]
        if not name:
            raise ValueError("it contains no METADATA")
        if archive.getinfo(name).file_size > METADATA_BYTES:
            raise ValueError("its METADATA is too large")
        return email.parser.BytesHeaderParser().parsebytes(archive.read(name))


def _metadata_names(archive: zipfile.ZipFile) -> list[str]:
    def names() -> Iterator[str]:
        for name in archive.namelist():
            directory, _slash, last = name.partition("/")
            if directory.endswith(".dist-info") and last == "METADATA":
                yield name

    return list(names())[:1]


def _invalid(path: str, fault: str) -> SourceError:
    remedy = "set the path of one wheel, such as dist/shop-1.4.2-py3-none-any.whl"
    return SourceError("wheel-invalid", WHEEL, f"is {path!r}, which {fault}", remedy)
