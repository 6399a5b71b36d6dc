# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The summary at the end of a successful run."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.site import site_row, site_summary

SITE = {
    "verdict": "ok",
    "causes": [],
    "notes": [],
    "url": "https://a.test/",
    "maintenance": False,
    "certificate": {"kind": "self-signed", "days": 397},
}
CHECKED = {"changed": False, "release": "src-1", "slot": "green", "site": SITE}


def test_summary_lists_hosts_and_notes():
    note = "GET /health is answered by nginx itself with 401"
    rows = [
        site_row("web1", [CHECKED, {"changed": True}]),
        site_row("web2", [{**CHECKED, "site": {**SITE, "notes": [note]}}, {"changed": False}]),
        site_row("longer", [{**CHECKED, "site": {**SITE, "notes": [note]}}]),
    ]

    assert site_summary(rows) == [
        "host    site     url              release  slot   certificate            changed",
        "web1    answers  https://a.test/  src-1    green  self-signed, 397 days  yes",
        "web2    answers  https://a.test/  src-1    green  self-signed, 397 days  no",
        "longer  answers  https://a.test/  src-1    green  self-signed, 397 days  no",
        f"web2, longer: {note}",
    ]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({}, ("not checked", "-", "-", "-", "-", "no")),
        ({"skipped": True, "changed": False}, ("not checked", "-", "-", "-", "-", "no")),
        (
            {"changed": True, "release": "r1", "slot": "blue", "site": {"verdict": "absent", "notes": []}},
            ("none yet", "-", "r1", "blue", "-", "yes"),
        ),
        (
            {**CHECKED, "site": {**SITE, "verdict": "failed", "certificate": {"kind": "acme", "days": 1}}},
            ("does not answer", "https://a.test/", "src-1", "green", "acme, 1 day", "no"),
        ),
        (
            {**CHECKED, "site": {**SITE, "certificate": {"kind": "provided", "days": -3}}},
            ("answers", "https://a.test/", "src-1", "green", "provided, expired", "no"),
        ),
    ],
)
def test_row_of_a_host(result, expected):
    row = site_row("h", [result])
    assert tuple(row[name] for name in ("site", "url", "release", "slot", "certificate", "changed")) == expected


def test_summary_lists_causes():
    row = site_row("h", [{**CHECKED, "site": {**SITE, "verdict": "failed", "causes": ["nginx is not running -> x"]}}])
    assert site_summary([row])[-1] == "h: nginx is not running -> x"


def test_summary_mentions_the_maintenance_page():
    row = site_row("h", [{**CHECKED, "site": {**SITE, "maintenance": True}}])
    assert site_summary([row])[-1] == "h: visitors get the maintenance page"


def test_no_host_is_left():
    assert site_summary([]) == ["no hosts are left in the play"]
