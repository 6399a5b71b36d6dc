# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy marker: an entry of the journal for each change of an app on a host. docs/how-to/logs-and-metrics.md describes it."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair, now
from ansible_collections.asgi.deploy.plugins.module_utils._host.journal import send

SUCCEEDED, FAILED = "succeeded", "failed"
# A fixed identifier of this kind of entry, see systemd.journal-fields(7).
MESSAGE_ID = "e1cabbd21ef04e5d92d33f69a22e5f05"
# syslog's priorities "notice" and "err"
PRIORITIES = {SUCCEEDED: "5", FAILED: "3"}
LONGEST_REASON = 1000


class DeployMarker:
    """A change in progress. The module sets ``source`` and ``target``, the releases and configurations that are live before and after it.

    A change that turns out to be unnecessary is not ``made``, and has no entry unless it fails.
    """

    def __init__(self, what: str, paths: dict, by: str) -> None:
        self.what = what
        self.paths = paths
        self.by = by
        self.at = now()
        self.began = time.monotonic()
        self.source: Pair | None = None
        self.target: Pair | None = None
        self.reason = ""
        self.made = True

    def write(self, result: str, reason: str = "") -> dict[str, Any]:
        """Write the entry to the journal, and return it."""
        source, target = (pair or Pair("", "") for pair in (self.source, self.target))
        entry = {
            "what": self.what,
            "app": self.paths["name"],
            "host": socket.gethostname(),
            "by": self.by or None,
            "at": self.at,
            "duration_seconds": round(time.monotonic() - self.began, 1),
            "from": source.release or None,
            "from_config": source.config or None,
            "to": target.release or None,
            "to_config": target.config or None,
            "result": result,
            "reason": (reason or self.reason)[:LONGEST_REASON] or None,
        }
        send(
            {
                "MESSAGE": json.dumps(entry),
                "MESSAGE_ID": MESSAGE_ID,
                "PRIORITY": PRIORITIES[result],
                "SYSLOG_IDENTIFIER": self.paths["deploy_log"],
            }
        )
        return entry
