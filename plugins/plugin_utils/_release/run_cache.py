# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute a result once per run, although Ansible starts a process for each host."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import locked
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError


def once(
    directory: str | os.PathLike[str], kind: str, key: Any, compute: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Return the result of *compute* for this *kind* and *key*, computed by the first process that shares *directory*.

    *compute* gets its own directory, which remains until the run ends. A SourceError is cached too, so that the
    other hosts of the run fail immediately.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    place = Path(directory) / f"asgi_{kind}s" / digest
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    cached = place / "result.json"
    with locked(str(place / "lock"), kind, wait=None):
        if not cached.exists():
            try:
                outcome = {"result": compute(place)}
            except SourceError as exc:
                outcome = {"error": [exc.code, exc.variable, exc.fault, exc.remedy]}
            cached.write_text(json.dumps(outcome), encoding="utf-8")
    outcome = json.loads(cached.read_text(encoding="utf-8"))
    if "error" in outcome:
        raise SourceError(*outcome["error"])
    return outcome["result"]
