# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's cache of resolutions and wheels, which later runs reuse.

A resolution is cached by its input, a wheel by its SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import Wanted, WheelError, describe_wheel

# Part of every cache key. Increase it when the same input must give another result.
FORMAT = 2

UNUSED_DAYS = 90


def digest(key: Any) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


class WheelCache:
    def __init__(self) -> None:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        self.directory = Path(base).expanduser() / "asgi"

    def cached(self, kind: str, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the cached result for *key*, or the result of *compute*, which is then cached."""
        path = self._path(kind, key)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found = compute()
            self.make_directory(path.parent)
            temporary = path.with_name(f"{key}.{os.getpid()}")
            temporary.write_text(json.dumps(found), encoding="utf-8")
            temporary.replace(path)
        else:
            os.utime(path)
        return found

    def drop(self, kind: str, key: str) -> None:
        self._path(kind, key).unlink()

    def _path(self, kind: str, key: str) -> Path:
        return self.directory / kind / f"{key}.json"

    def make_directory(self, path: Path) -> None:
        """Create a directory of the cache that only its owner can read, because URLs in resolutions may contain credentials."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path_of(self, wheel: Mapping[str, str]) -> Path:
        return self.directory / "wheels" / wheel["sha256"] / wheel["file"]

    def has(self, wheel: Mapping[str, str]) -> bool:
        """Return whether the cache has the *wheel*, and mark the wheel as used."""
        path = self.path_of(wheel)
        if not path.is_file():
            return False
        os.utime(path.parent)
        return True

    def store(self, file: Path, item: Wanted | None = None) -> dict[str, str]:
        """Copy the wheel *file* to the cache and return its description; raise WheelError if *item* has another SHA-256."""
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        expected = (item.sha256,) if item and item.sha256 else item.accepted if item else ()
        if expected and sha256 not in expected:
            origin = "the index lists" if item.sha256 else "the source requires"
            fault = f"is an index whose {file.name} has the SHA-256 {sha256}, although {origin} {' or '.join(expected)}"
            raise WheelError(
                "wheel-hash-mismatch",
                "asgi_app_index_url",
                fault,
                "check for an on-path attacker or an intercepting proxy, or repair the index",
            )
        wheel = describe_wheel(file.name, sha256)
        path = self.path_of(wheel)
        if not path.is_file():
            self.make_directory(path.parent)
            temporary = path.with_name(f".{os.getpid()}")
            shutil.copyfile(file, temporary)
            temporary.replace(path)
        return wheel

    def remove_unused(self) -> None:
        """Remove entries that no run has used for UNUSED_DAYS."""
        oldest = time.time() - UNUSED_DAYS * 86400
        for kind in ("resolutions", "sets", "built", "exports", "wheels", "pythons", "archives"):
            for path in self.directory.glob(f"{kind}/*"):
                # Another run may rename or remove files at the same time.
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < oldest:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
