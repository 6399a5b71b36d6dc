# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels that a host received from the controller, each in a directory named after its SHA-256.

All apps of a host share them. The path of a wheel depends only on its content, so uv can reuse its cache for every release.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import extract
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import sha256_of

DIGEST = re.compile(r"[0-9a-f]{64}")

# Younger wheels are kept even if no release lists them: a running build of another app may need them.
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


class WheelStoreError(Reported):
    """A wheel from the controller does not match its hash, or the Python of the host does not run."""


def describe_target(python: str) -> dict:
    """Return the properties of *python* that determine the compatible wheels; raise WheelStoreError if it does not run."""
    argv = [python, "-I", "-c", TARGET_PROBE]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelStoreError(f"asgi_app_python ({python}) does not run: {done.stderr.strip()}")
    return json.loads(done.stdout)


def stored(store: Path) -> list:
    """Return the digests of the wheels in the *store*."""
    return sorted(path.name for path in store.glob("*") if DIGEST.fullmatch(path.name))


def receive(archive: str, store: Path) -> None:
    """Move the wheels of *archive* into the *store*; raise WheelStoreError if a wheel's directory is not named after its SHA-256."""
    # Build accounts open the wheels of their app by digest, but cannot list the store.
    store.mkdir(parents=True, exist_ok=True)
    store.chmod(0o711)
    with tempfile.TemporaryDirectory(dir=store) as unpacked:
        extract(archive, unpacked)
        for directory in sorted(Path(unpacked).iterdir()):
            for wheel in directory.iterdir():
                if sha256_of(str(wheel)) != directory.name:
                    raise WheelStoreError(f"{wheel.name} was modified in transit: its SHA-256 is not {directory.name}")
            if not (store / directory.name).exists():
                directory.replace(store / directory.name)


def prune(store: Path, manifests: list) -> list:
    """Remove the wheels that none of the release.json files *manifests* lists, except recent ones; return the removed digests."""
    needed = set()
    for manifest in manifests:
        try:
            needed.update(json.loads(manifest.read_text(encoding="utf-8")).get("wheels", []))
        except (OSError, ValueError, AttributeError):
            continue
    removed = []
    for digest in stored(store):
        if digest not in needed and time.time() - (store / digest).stat().st_mtime > YOUNG_SECONDS:
            shutil.rmtree(store / digest, ignore_errors=True)
            removed.append(digest)
    return removed


def touch(store: Path, digests: list) -> None:
    """Update the modification times of these wheels, so that builds of other apps do not remove them as unused."""
    for digest in digests:
        os.utime(store / digest)
