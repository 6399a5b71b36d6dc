# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports on a measurement, in several formats."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import points, recommend, snippet, table
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning_page import as_page

FORMATS = ("table", "vars", "html", "json")


def tune_report(
    result: dict[str, Any], host: str, app: str, plan: dict[str, Any], format: str = "table", minimum: int = 1
) -> list[str]:
    """Return the lines of the report in *format* on the module's *result*; *plan* is the current worker plan.

    Raises ValueError for an unknown format, and if requests failed with every number of workers.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; it must be one of {', '.join(FORMATS)}")
    result = printable(result)
    measured = points(result["measurements"])
    found = recommend(measured, result, plan, minimum)
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if format == "table":
        text = f"{host} {app}: {result['plan']}\n\n{table(measured, found)}"
    elif format == "vars":
        text = snippet(found, [f"Measured by asgi.deploy.tune for {app} on {host}, {at}:", result["plan"]])
    elif format == "json":
        text = json.dumps({"recommendation": asdict(found), "points": [asdict(point) for point in measured]}, indent=1)
    else:
        text = as_page(measured, found, result, plan, host=host, app=app, at=at)
    return text.split("\n")
