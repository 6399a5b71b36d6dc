# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.site_plan import (
    ACCESS,
    encloses,
    match,
    match_doubled,
    settings_of,
    site_plan,
)

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
def test_encloses_agrees_with_nginx(outer, url, expected):
    assert encloses(outer, url) is expected
    how, _space, pattern = match(outer).rpartition(" ")
    # nginx compares a regular expression, an exact string or a prefix.
    matches = {"~": bool(re.search(pattern, url)), "=": url == pattern, "": url.startswith(pattern)}
    assert matches[how] is expected


def test_dots_are_escaped():
    assert match({"url": "/a.b"}) == r"~ ^/a\.b(?:/|$)"


@pytest.mark.parametrize(
    ("entry", "matching", "others"),
    [
        ({"url": "/a/b"}, ["/a/b", "//a/b", "/a//b/c", "///a///b"], ["/a/bc", "/x//a/b", "/a"]),
        ({"url": "/a/"}, ["/a/", "//a//x"], ["//a", "//ab/"]),
        ({"url": "/a", "exact": True}, ["//a"], ["//a/", "//a/b"]),
        ({"url": "/a/", "exact": True}, ["//a/", "/a//"], ["//a", "//a/b"]),
        ({"url": "/", "exact": True}, ["//", "///"], ["//a"]),
    ],
)
def test_doubled_slashes_match_anywhere(entry, matching, others):
    _how, _space, pattern = match_doubled(entry).partition(" ")
    assert [url for url in (*matching, *others) if re.search(pattern, url)] == matching


def test_root_location_has_no_match_for_doubled_slashes():
    assert match_doubled({"url": "/"}) is None


def test_site_without_locations_has_the_root_location():
    found = plan()
    assert (found["static"], found["zones"]) == ([], [])
    assert found["locations"] == [
        {
            "match": "/",
            "doubled": None,
            "websocket": "@websocket_1",
            "repeats": {},
            "error_pages": None,
            "inherited": [],
        }
    ]


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
def test_most_specific_location_is_first(locations, order):
    assert [each["match"] for each in plan(*locations)["locations"]] == order


def test_order_of_the_list_is_ignored():
    assert plan(ADMIN, UPLOAD) == plan(UPLOAD, ADMIN)


@pytest.mark.parametrize(
    ("url", "locations", "expected"),
    [
        ("/x", [ADMIN], {}),
        ("/administration", [ADMIN], {}),
        ("/admin/x", [ADMIN], {"basic_auth": "Staff", "rate": "5r/s", "burst": 10, "rate_of": match(ADMIN)}),
        ("/admin/x", [ADMIN, {"url": "/admin/x", "basic_auth": "", "rate": ""}], {"rate_of": "~ ^/admin/x(?:/|$)"}),
        ("/admin/x", [{"url": "/admin", "allow": ["::1"]}, {"url": "/admin/x", "allow": []}], {}),
        # A location with its own rate does not inherit the burst.
        ("/admin/x", [ADMIN, {"url": "/admin/x", "rate": "1r/s", "basic_auth": ""}], {"rate": "1r/s"}),
        ("/a", [{"url": "/", "connections": 9}], {"connections": 9, "connections_of": "/"}),
        ("/a", [{"url": "/a", "exact": True, "deny": ["::1"]}, {"url": "/", "deny": []}], {"deny": ["::1"]}),
    ],
)
def test_settings_come_from_the_closest_location(url, locations, expected):
    found = settings_of(url, locations)
    assert {**found, **expected} == found
    assert set(found) - set(expected) <= {"rate_of"}


def test_locations_inherit_settings():
    upload, admin, rest = plan(ADMIN, UPLOAD)["locations"]
    assert upload["basic_auth"] == admin["basic_auth"] == "Staff"
    assert (upload["body_size"], upload["request_buffering"]) == ("1g", False)
    assert "body_size" not in admin
    assert set(rest) == {"match", "doubled", "websocket", "repeats", "error_pages", "inherited"}


@pytest.mark.parametrize(("name", "value"), [("body_size", "0"), ("body_size", 0), ("buffering", False)])
def test_zero_and_false_are_values(name, value):
    assert plan({"url": "/a", name: value})["locations"][0][name] == value


def test_snippets_and_logs_are_not_inherited():
    below, above, _rest = plan({"url": "/a", "snippet": "x;", "log": False}, {"url": "/a/b"})["locations"]
    assert (above["snippet"], above["log"]) == ("x;", False)
    assert {"snippet", "log"} & set(below) == set()


def test_inherited_limits_share_a_zone():
    found = plan(ADMIN, UPLOAD, {"url": "/search", "rate": "5r/s"}, {"url": "/admin/slow", "rate": "1r/s"})
    zone = {each["match"]: each.get("rate_zone") for each in found["locations"]}
    assert zone[match(ADMIN)] == zone[match(UPLOAD)]
    assert len({zone[match(ADMIN)], zone["~ ^/search(?:/|$)"], zone["~ ^/admin/slow(?:/|$)"]}) == 3
    assert sorted(each["limit"] for each in found["zones"]) == ["1r/s", "5r/s", "5r/s"]


def test_rate_and_connections_have_different_zones():
    found = plan({"url": "/", "rate": "5r/s", "connections": 9})
    assert [(each["kind"], each["limit"]) for each in found["zones"]] == [("rate", "5r/s"), ("connections", 9)]
    assert len({each["name"] for each in found["zones"]}) == 2


def test_static_files_inherit_access_settings():
    static = [{"url": "/admin/static/", "path": "a"}, {"url": "/static/", "path": "b"}]
    closed, opened = plan(ADMIN, static=static)["static"]
    assert (closed["basic_auth"], closed["path"]) == ("Staff", "a")
    assert set(opened) == {"url", "path", "number"}


def test_health_location_is_first_and_open_and_not_logged():
    health, rest = plan({"url": "/", "basic_auth": "Staff", "rate": "1r/s"}, health_url="/up")["locations"]
    assert (health["match"], health["doubled"], health["log"]) == ("= /up", "~ ^/+up$", False)
    assert not set(ACCESS) & set(health)
    assert rest["basic_auth"] == "Staff"


def test_names_of_websocket_locations_are_unique():
    names = [each["websocket"] for each in plan(ADMIN, UPLOAD, health_url="/up")["locations"]]
    assert len(set(names)) == 4


def test_preflight_requests_pass_a_realm_where_the_switch_is_on():
    found = plan(
        {"url": "/", "basic_auth": "Staff"},
        {"url": "/api", "cors_preflight": True},
        {"url": "/api/private", "cors_preflight": False},
        {"url": "/open", "basic_auth": "", "cors_preflight": True},
        {"url": "/partners", "basic_auth": "Partners", "cors_preflight": True},
        static=[{"url": "/api/files/", "path": "files"}],
        variable="shop",
    )
    realms = {each["match"]: each.get("realm") for each in found["locations"]}
    names = {each["realm"]: each["variable"] for each in found["realms"]}
    assert sorted(names) == ["Partners", "Staff"]
    assert realms == {
        "/": None,
        "~ ^/api(?:/|$)": names["Staff"],
        "~ ^/api/private(?:/|$)": None,
        "~ ^/open(?:/|$)": None,
        "~ ^/partners(?:/|$)": names["Partners"],
    }
    assert found["static"][0]["realm"] == names["Staff"]


def test_urls_of_an_app_with_a_path_are_below_it():
    found = plan(ADMIN, static=[{"url": "/static/", "path": "s"}], health_url="/health", variable="shop", path="/api")
    assert [each["match"] for each in found["locations"]] == ["= /api/health", "~ ^/api/admin(?:/|$)", "~ ^/api/"]
    assert [each["websocket"] for each in found["locations"]] == [f"@websocket_shop_{number}" for number in (1, 2, 3)]
    assert found["static"][0]["url"] == "/api/static/"
    assert found["root"]["match"] == "~ ^/api/"
    ours = {"outer": "", "path": "/api"}
    assert found["prefix_headers"] == {"X-Forwarded-Prefix": ours, "X-Asgi-Root-Path": ours}


def test_the_prefix_of_a_trusted_proxy_precedes_the_path():
    found = plan(trusted=["X-User", "x-forwarded-prefix"], variable="shop", path="/api")
    assert found["prefix_headers"]["X-Forwarded-Prefix"] == {"outer": "$asgi_shop_trusted_2", "path": "/api"}
    assert found["prefix_headers"]["X-Asgi-Root-Path"] == {"outer": "", "path": "/api"}
    # only once in the request
    headers = {name: value for name, value in found["request_headers"].items() if "$asgi_shop_trusted" in value}
    assert headers == {"X-User": "$asgi_shop_trusted_1"}
    kept = plan(trusted=["x-forwarded-prefix"], variable="shop", path="/api", strip=False)
    assert kept["request_headers"]["x-forwarded-prefix"] == "$asgi_shop_trusted_1"


def test_a_path_that_stays_in_requests_is_part_of_the_urls():
    found = plan({"url": "/api", "read_timeout": 5}, {"url": "/api/x"}, variable="shop", path="/api", strip=False)
    assert [each["match"] for each in found["locations"]] == ["~ ^/api/x(?:/|$)", "~ ^/api(?:/|$)"]
    assert found["root"]["read_timeout"] == 5
    assert found["prefix_headers"] == {}


def test_the_location_of_the_path_itself_has_the_rules_of_that_url():
    closed, opened = {"url": "/api", "basic_auth": "Staff"}, {"url": "/api/", "basic_auth": ""}
    found = plan(closed, opened, variable="shop", path="/api", strip=False)
    assert found["root"]["match"] == "~ ^/api(?:/|$)"
    assert found["root"]["basic_auth"] == "Staff"
