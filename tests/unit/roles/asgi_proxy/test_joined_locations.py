# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locations of an app with a path of another app's site."""

from __future__ import annotations

import re

from rendering import defaults, rendered

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
