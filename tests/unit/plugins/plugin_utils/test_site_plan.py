# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.site_plan import encloses, match, settings_of, site_plan

ADMIN = {"url": "/admin", "basic_auth": "Staff", "rate": "5r/s", "burst": 10}
UPLOAD = {"url": "/admin/upload", "body_size": "1g", "request_buffering": False}


def plan(*locations, **others):
    return site_plan(locations, **others)


@pytest.mark.parametrize(
    ("outer", "url", "expected"),
    [
        ({"url": "/"}, "/x", True),
        ({"url": "/"}, "/", True),
        ({"url": "/", "exact": True}, "/x", False),
        ({"url": "/a"}, "/a", True),
        ({"url": "/a"}, "/a/b", True),
        ({"url": "/a"}, "/ab", False),
        ({"url": "/a/"}, "/a/b", True),
        ({"url": "/a/"}, "/a", False),
        ({"url": "/a", "exact": True}, "/a", True),
        ({"url": "/a", "exact": True}, "/a/b", False),
    ],
)
def test_encloses_is_what_nginx_matches(outer, url, expected):
    assert encloses(outer, url) is expected
    how, _space, pattern = match(outer).rpartition(" ")
    # the three ways of nginx to compare: a regular expression, a text, and the beginning of one
    matches = {"~": bool(re.search(pattern, url)), "=": url == pattern, "": url.startswith(pattern)}
    assert matches[how] is expected


def test_a_dot_is_a_dot():
    assert match({"url": "/a.b"}) == r"~ ^/a\.b(?:/|$)"


def test_nothing_set_is_one_location():
    assert plan() == {"locations": [{"match": "/", "websocket": "@websocket_1"}], "static": [], "zones": []}


@pytest.mark.parametrize(
    ("locations", "order"),
    [
        ([{"url": "/a"}, {"url": "/a/b"}], [r"~ ^/a/b(?:/|$)", r"~ ^/a(?:/|$)", "/"]),
        ([{"url": "/"}, {"url": "/a"}], [r"~ ^/a(?:/|$)", "/"]),
        ([{"url": "/a"}, {"url": "/a/"}], ["~ ^/a/", r"~ ^/a(?:/|$)", "/"]),
        ([{"url": "/abc"}, {"url": "/a", "exact": True}], ["= /a", r"~ ^/abc(?:/|$)", "/"]),
        ([{"url": "/", "exact": True}], ["= /", "/"]),
    ],
)
def test_the_closest_is_tried_first(locations, order):
    assert [each["match"] for each in plan(*locations)["locations"]] == order


def test_the_order_of_the_list_says_nothing():
    assert plan(ADMIN, UPLOAD) == plan(UPLOAD, ADMIN)


@pytest.mark.parametrize(
    ("url", "locations", "expected"),
    [
        ("/x", [ADMIN], {}),
        ("/administration", [ADMIN], {}),
        ("/admin/x", [ADMIN], {"basic_auth": "Staff", "rate": "5r/s", "burst": 10, "rate_of": match(ADMIN)}),
        ("/admin/x", [ADMIN, {"url": "/admin/x", "basic_auth": "", "rate": ""}], {"rate_of": "~ ^/admin/x(?:/|$)"}),
        ("/admin/x", [{"url": "/admin", "allow": ["::1"]}, {"url": "/admin/x", "allow": []}], {}),
        # a burst without its rate would be that of another
        ("/admin/x", [ADMIN, {"url": "/admin/x", "rate": "1r/s", "basic_auth": ""}], {"rate": "1r/s"}),
        ("/a", [{"url": "/", "connections": 9}], {"connections": 9, "connections_of": "/"}),
        ("/a", [{"url": "/a", "exact": True, "deny": ["::1"]}, {"url": "/", "deny": []}], {"deny": ["::1"]}),
    ],
)
def test_what_holds_for_a_url(url, locations, expected):
    found = settings_of(url, locations)
    assert {**found, **expected} == found
    assert set(found) - set(expected) <= {"rate_of"}


def test_a_location_takes_what_it_does_not_say_itself():
    upload, admin, rest = plan(ADMIN, UPLOAD)["locations"]
    assert upload["basic_auth"] == admin["basic_auth"] == "Staff"
    assert (upload["body_size"], upload["request_buffering"]) == ("1g", False)
    assert "body_size" not in admin
    assert set(rest) == {"match", "websocket"}


@pytest.mark.parametrize(("name", "value"), [("body_size", "0"), ("body_size", 0), ("buffering", False)])
def test_what_looks_like_nothing_and_is_something(name, value):
    assert plan({"url": "/a", name: value})["locations"][0][name] == value


def test_a_snippet_and_a_log_are_of_one_location_alone():
    below, above, _rest = plan({"url": "/a", "snippet": "x;", "log": False}, {"url": "/a/b"})["locations"]
    assert (above["snippet"], above["log"]) == ("x;", False)
    assert {"snippet", "log"} & set(below) == set()


def test_who_takes_a_limit_counts_with_whom_it_is_from():
    found = plan(ADMIN, UPLOAD, {"url": "/search", "rate": "5r/s"}, {"url": "/admin/slow", "rate": "1r/s"})
    zone = {each["match"]: each.get("rate_zone") for each in found["locations"]}
    assert zone[match(ADMIN)] == zone[match(UPLOAD)]
    assert len({zone[match(ADMIN)], zone["~ ^/search(?:/|$)"], zone["~ ^/admin/slow(?:/|$)"]}) == 3
    assert sorted(each["limit"] for each in found["zones"]) == ["1r/s", "5r/s", "5r/s"]


def test_rate_and_connections_are_counted_apart():
    found = plan({"url": "/", "rate": "5r/s", "connections": 9})
    assert [(each["kind"], each["limit"]) for each in found["zones"]] == [("rate", "5r/s"), ("connections", 9)]
    assert len({each["name"] for each in found["zones"]}) == 2


def test_files_below_a_location_are_as_open_as_that():
    static = [{"url": "/admin/static/", "path": "a"}, {"url": "/static/", "path": "b"}]
    closed, opened = plan(ADMIN, static=static)["static"]
    assert (closed["basic_auth"], closed["path"]) == ("Staff", "a")
    assert set(opened) == {"url", "path", "number"}


def test_health_is_first_open_and_not_logged():
    health, rest = plan({"url": "/", "basic_auth": "Staff", "rate": "1r/s"}, health_url="/up")["locations"]
    assert health == {"match": "= /up", "log": False, "websocket": "@websocket_1"}
    assert rest["basic_auth"] == "Staff"


def test_names_of_locations_are_not_shared():
    names = [each["websocket"] for each in plan(ADMIN, UPLOAD, health_url="/up")["locations"]]
    assert len(set(names)) == 4
