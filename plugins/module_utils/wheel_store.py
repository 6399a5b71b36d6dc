# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels that a host got from the controller, each in a directory named by its SHA-256.

The apps of a host share them. A directory's path is a wheel's content, so what uv keeps of it is good for every release.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils.release_archive import extract

DIGEST = re.compile(r"[0-9a-f]{64}")

# A wheel that was sent and belongs to no release yet may be another app's, which is being built.
YOUNG_SECONDS = 86400

TARGET_PROBE = """
import json, os, platform, struct, sys
libc, libc_version = platform.libc_ver()
print(json.dumps({
    "python": platform.python_version().rstrip("+"),
    "implementation": sys.implementation.name,
    "abiflags": sys.abiflags,
    "bits": struct.calcsize("P") * 8,
    "machine": platform.machine(),
    "libc": libc or "another libc",
    "libc_version": libc_version,
}))
"""


class WheelStoreError(Exception):
    """What came from the controller is not what it says, or what wheels are for cannot be told."""


def describe_target(python: str) -> dict:
    """Return what decides which wheels *python* takes; raise WheelStoreError if it does not run."""
    argv = [python, "-I", "-c", TARGET_PROBE]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelStoreError(f"asgi_app_python ({python}) does not run: {done.stderr.strip()}")
    return json.loads(done.stdout)


def stored(store: Path) -> list:
    """Return the digests of the wheels in the *store*."""
    return sorted(path.name for path in store.glob("*") if DIGEST.fullmatch(path.name))


def receive(archive: str, store: Path) -> None:
    """Move the wheels of *archive* into the *store*; raise WheelStoreError if one is not what its name says."""
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store) as unpacked:
        extract(archive, unpacked)
        for directory in sorted(Path(unpacked).iterdir()):
            for wheel in directory.iterdir():
                if _sha256(wheel) != directory.name:
                    raise WheelStoreError(f"{wheel.name} is not what was sent: its SHA-256 is not {directory.name}")
            if not (store / directory.name).exists():
                directory.replace(store / directory.name)


def prune(store: Path, manifests: list) -> list:
    """Remove the wheels that none of these release.json has, but for those that came lately; return their digests."""
    needed = set()
    for manifest in manifests:
        try:
            needed.update(json.loads(manifest.read_text(encoding="utf-8")).get("wheels", []))
        except (OSError, ValueError, AttributeError):
            continue
    gone = []
    for digest in stored(store):
        if digest not in needed and time.time() - (store / digest).stat().st_mtime > YOUNG_SECONDS:
            shutil.rmtree(store / digest, ignore_errors=True)
            gone.append(digest)
    return gone


def touch(store: Path, digests: list) -> None:
    """Keep these wheels from being pruned by another app's build while this one is going on."""
    for digest in digests:
        os.utime(store / digest)


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()
