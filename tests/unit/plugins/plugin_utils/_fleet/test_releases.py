"""The report of the releases of several hosts."""

from __future__ import annotations

import json

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.releases import as_json, as_table, rows

ENTRY = {"release": "r1", "config": "c1", "slot": "blue", "at": "2026-12-01T07:28:11Z", "by": "jo", "result": "live"}
RESULTS = [
    {"apps": [{"name": "shop", "releases": [{**ENTRY, "rollback_target": None}]}]},
    {},
    {"apps": [{"name": "blog", "releases": []}]},
]


def test_the_table_lists_the_entries_of_each_host():
    assert as_table(rows(["a", "b", "c"], RESULTS)).splitlines() == [
        "host  app   release  config  activated         by  result  rollback  note",
        "a     shop  r1       c1      2026-12-01 07:28  jo  live",
    ]
    assert as_table(rows(["b"], [{}])) == "no release has been activated"


def test_the_json_has_one_object_per_entry():
    [found] = json.loads(as_json(rows(["a", "b", "c"], RESULTS)))
    assert found == {"host": "a", "app": "shop", "rollback_target": None, **ENTRY}
