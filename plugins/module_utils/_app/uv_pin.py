# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pin uv by hash: create the requirement line with which pip installs uv from the index."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_wheels import VERSION, WHEELS

PREFIX = "sha256:"
_HASH = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")

# pip's options for a requirements file with the line from uv_requirement().
INSTALL_OPTIONS = ("--require-hashes", "--no-deps", "--only-binary=:all:")


def uv_hashes(version: str, given: Iterable[str] = ()) -> list:
    """Return the SHA-256 hashes of the wheels of uv *version*: those *given*, or else those in this collection.

    Raise ValueError with the fault and the remedy if there are no hashes or a given hash is invalid.
    """
    given = list(given)
    wrong = [each for each in given if not _HASH.fullmatch(each)]
    if wrong:
        raise ValueError(f"asgi_app_uv_hashes has {wrong[0]!r}", "write each hash as sha256: and 64 hexadecimal digits")
    if given:
        return [each[len(PREFIX) :] for each in given]
    if version == VERSION:
        return sorted(WHEELS.values())
    raise ValueError(
        f"asgi_app_uv_version is {version!r}, whose hashes are not in this collection",
        f"use {VERSION}; or set asgi_app_uv_hashes to the hashes of its wheels, which `echo uv=={version} | uv pip compile "
        f"--no-deps --generate-hashes -` prints; or set asgi_app_uv_binary",
    )


def uv_requirement(version: str, given: Iterable[str] = ()) -> str:
    """Return a line of a requirements file with uv *version* and the accepted hashes of its wheel."""
    return " ".join([f"uv=={version}", *(f"--hash={PREFIX}{sha256}" for sha256 in uv_hashes(version, given))])
