# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploy markers: the journal entry of each change of an app."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app.deploy_marker import MESSAGE_ID, DeployMarker
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout


def fields(journald):
    """Return the fields of the next entry of the journal."""
    return dict(line.split("=", 1) for line in journald.recv(100_000).decode().splitlines())


def test_the_entry_in_the_journal(journald):
    marker = DeployMarker("deploy", layout("shop"), "anna")
    marker.source, marker.target = Pair("src-1", "c1"), Pair("src-2", "c2")
    written = marker.write("succeeded")

    entry = fields(journald)
    assert json.loads(entry.pop("MESSAGE")) == written
    assert entry.pop("MESSAGE_ID") == MESSAGE_ID
    assert entry == {"PRIORITY": "5", "SYSLOG_IDENTIFIER": "shop-deploy"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written.pop("at"))
    assert written.pop("host")
    assert written == {
        "what": "deploy",
        "app": "shop",
        "by": "anna",
        "duration_seconds": 0.0,
        "from": "src-1",
        "from_config": "c1",
        "to": "src-2",
        "to_config": "c2",
        "result": "succeeded",
        "reason": None,
    }


def test_the_documentation_names_the_message_id():
    page = Path(__file__).parents[5] / "docs/how-to/logs-and-metrics.md"
    assert f"`MESSAGE_ID={MESSAGE_ID}`" in page.read_text()


def test_a_failure_is_an_error_with_a_reason_on_one_line(journald):
    marker = DeployMarker("abandon", layout("shop"), "")
    marker.reason = "the smoke test failed"
    written = marker.write("failed", "it hangs\n" * 1000)

    entry = fields(journald)
    assert entry["PRIORITY"] == "3"
    assert json.loads(entry["MESSAGE"]) == written
    assert written["reason"].startswith("it hangs\nit hangs")
    assert len(written["reason"]) == 1000
    assert (written["from"], written["to"], written["by"]) == (None, None, None)
