"""The status report."""

from __future__ import annotations

import json

from ansible_collections.asgi.deploy.plugins.plugin_utils.status import as_json, as_table, rows

APP = {
    "name": "hello",
    "slot": "green",
    "release": "src-1",
    "state": "active",
    "workers": 3,
    "plan": "3 = 2 CPUs + 1; memory would allow 14",
    "previous": None,
    "certificate_days": 364,
    "since": "Sat 2026-11-21 00:46:28 UTC",
}


def test_one_row_for_each_app_of_each_host():
    found = rows(["web1", "web2", "web3"], [{"apps": [APP, {**APP, "name": "shop"}]}, {"apps": []}, {"apps": [APP]}])

    assert [(row["host"], row["name"]) for row in found] == [("web1", "hello"), ("web1", "shop"), ("web3", "hello")]
    assert json.loads(as_json(found))[0]["release"] == "src-1"


def test_the_table_is_aligned():
    lines = as_table(rows(["a-long-host-name"], [{"apps": [APP]}])).splitlines()

    assert lines[0].index("slot") == lines[1].index("green")
    assert lines[1].endswith("364 days     2026-11-21 00:46  3 = 2 CPUs + 1; memory would allow 14")


def test_what_is_unknown_is_a_dash():
    empty = {"name": "hello", "slot": None, "release": None, "state": "not deployed"}

    assert as_table(rows(["web1"], [{"apps": [empty]}])).splitlines()[1].split() == (
        ["web1", "hello", "-", "-", "not", "deployed", "0", "-", "-", "-", "-"]
    )


def test_nothing_is_said_in_words():
    assert as_table([]) == "no app is deployed on these hosts"
