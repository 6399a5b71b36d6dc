# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locations of an app with a path of another app's site."""

from __future__ import annotations

import re

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from rendering import HOST, Environment, defaults, rendered

TILES = {
    **defaults("asgi_proxy"),
    "asgi_name": "tiles",
    "asgi_proxy_server_names": ["a.test"],
    "asgi_proxy_path": "/api",
    "asgi_proxy_static": [{"url": "/static/", "path": "static"}, {"url": "/kept/", "path": "kept", "internal": True}],
}


def locations(**given):
    return rendered("asgi_proxy", {**TILES, **given})["asgi-tiles@a.test.inc"]


def test_no_condition_of_a_location_only_sets_a_variable():
    # nginx would continue with an implicit location that has neither try_files nor limit_except.
    text = locations()
    inside = text[text.index("location ") :]
    assert re.findall(r"^ +if .*\{ (?!return ).*", inside, re.MULTILINE) == []
    assert "if ($asgi_tiles_maintenance) { return 503; }" in inside


def test_other_apps_cannot_reach_internal_files_through_a_named_location():
    text = locations()
    named = dict(re.findall(r"location @static_tiles_(\d_\w+) \{\n(.*?)\n    \}", text, re.DOTALL))
    isolated = {name for name, body in named.items() if "if ($asgi_from != tiles) { return 404; }" in body}
    assert sorted(named) == ["1_blue", "1_green", "2_blue", "2_green"]
    assert isolated == {"2_blue", "2_green"}


def test_the_snippet_of_the_server_applies_to_all_locations():
    # nginx does not inherit it in the locations of WebSockets and of the path itself, which are beside the location with the snippet.
    snippet = (
        "auth_request /api/auth;\nerror_page 404 /api/404;\nlocation = /api/auth { return 204; }\nadd_header X-A b;"
    )
    entries = [{"url": "/api/open", "snippet": "auth_request off;"}]
    text = locations(
        asgi_proxy_strip_path=False,
        asgi_proxy_static=[],
        asgi_proxy_locations=entries,
        asgi_proxy_snippet_server=snippet,
    )
    beside = re.findall(r"^    location (@websocket_tiles_\d|= /api) \{\n(.*?)\n    \}", text, re.DOTALL | re.MULTILINE)
    found = {place: re.findall(r"auth_request ([^;]+);", body) for place, body in beside}
    assert found == {"= /api": ["/api/auth"], "@websocket_tiles_1": ["off"], "@websocket_tiles_2": ["/api/auth"]}
    for _place, body in beside:
        assert (body.count("error_page 404 /api/404;"), body.count("add_header X-A b;"), "location" in body) == (
            1,
            1,
            False,
        )


@pytest.mark.parametrize(
    ("path", "certbot", "retires"), [("/api", True, True), ("/api", False, False), (None, True, False)]
)
def test_an_app_that_moves_to_a_path_needs_no_renewal_of_its_certificate(path, certbot, retires):
    environment = Environment("asgi_proxy")
    renewal = [*layout("tiles")["acme"]["renewal"].values()]
    host = {**HOST, "present_paths": renewal[:1] if certbot else []}
    given = {**TILES, **({"asgi_proxy_path": path} if path else {}), "__asgi_proxy_host": host}
    if not path:
        del given["asgi_proxy_path"]
    environment.use(given)
    assert environment.variables.get("__asgi_proxy_retires", None) is retires
