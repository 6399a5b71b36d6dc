# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report of the releases of all hosts, from the results of the module app_info."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._command.report import HEADINGS, release_cells
from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned


def rows(hosts: Iterable[str], results: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one row for each entry of the release log of each app and host, the newest first."""
    for host, result in zip(hosts, results, strict=True):
        for app in result.get("apps", ()):
            for entry in app["releases"]:
                yield {"host": host, "app": app["name"], **entry}


def as_table(listed: Iterable[dict[str, Any]]) -> str:
    cells = [(row["host"], row["app"], *release_cells(row)) for row in listed]
    return "\n".join(aligned([("host", "app", *HEADINGS), *cells])) if cells else "no release has been activated"


def as_json(listed: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(listed), indent=2, sort_keys=True)
