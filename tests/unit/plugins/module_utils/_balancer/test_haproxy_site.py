# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._balancer import haproxy_site as decide

SHOP = """#
# Ansible managed
#
# Serves on port 443 with /etc/asgi/shop/tls/live.pem: shop.test *.shop.test
# Redirects on port 80 to 443: shop.test *.shop.test
backend asgi_shop
"""
TILES = """# Serves on port 443 with /etc/asgi/tiles/tls/live.pem: *.a.shop.test
# Serves on port 8443 with /etc/asgi/tiles/tls/live.pem: tiles.test
"""
SHARED = ["asgi-00-shared.cfg", "asgi-01-http-80.cfg", "asgi-01-https-443.cfg"]
BOTH = {"asgi-shop.cfg": SHOP, "asgi-tiles.cfg": TILES, **dict.fromkeys(SHARED, "frontend x\n")}


def test_lookup_files():
    assert decide.lookup_files(BOTH) == {
        "hosts-80.map": "shop.test 443\n",
        "suffixes-80.map": ".shop.test 443\n",
        "challenges-80.map": "",
        "hosts-443.map": "shop.test asgi_shop\n",
        # the longest suffix first
        "suffixes-443.map": ".a.shop.test asgi_tiles\n.shop.test asgi_shop\n",
        "certificates-443.list": (
            "/etc/asgi/shop/tls/live.pem shop.test *.shop.test\n/etc/asgi/tiles/tls/live.pem *.a.shop.test\n"
        ),
        "hosts-8443.map": "tiles.test asgi_tiles\n",
        "suffixes-8443.map": "",
        "ports-443.map": "",
        "ports-8443.map": "",
        "certificates-8443.list": "/etc/asgi/tiles/tls/live.pem tiles.test\n",
    }
    assert decide.lookup_files({}) == {}


def test_acme_challenges():
    answers = "# Challenges on port 80 to asgi_shop.acme: shop.test www.shop.test\n"
    found = decide.lookup_files({**BOTH, "asgi-shop.cfg": answers + SHOP})
    assert found["challenges-80.map"] == "shop.test asgi_shop.acme\nwww.shop.test asgi_shop.acme\n"
    assert {**found, "challenges-80.map": ""} == decide.lookup_files(BOTH)

    # an app that uses port 80 only for challenges
    alone = decide.lookup_files({"asgi-shop.cfg": answers})
    assert (alone["hosts-80.map"], alone["suffixes-80.map"]) == ("", "")
    assert alone["challenges-80.map"] == found["challenges-80.map"]
    assert decide.duplicate_names({**BOTH, "asgi-new.cfg": answers}, {"asgi-new.cfg"}) == [
        "shop.test on port 80 (app shop)"
    ]


def test_the_ports_in_the_urls_of_an_app():
    shop = "# Public ports of port 443: 8443 18443\n# Public ports of port 8443: 1\n"
    found = decide.lookup_files({**BOTH, "asgi-shop.cfg": SHOP + shop})
    assert found["ports-443.map"] == "asgi_shop:18443 public\nasgi_shop:8443 public\n"
    # The app does not listen on port 8443.
    assert found["ports-8443.map"] == ""


def test_only_files_of_apps_count():
    assert decide.lookup_files({"asgi-01-https-443.cfg": SHOP, "asgi-shop.cfg.bak": SHOP, "mine.cfg": SHOP}) == {}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("asgi-new.cfg", SHOP.replace("shop.test", "new.test"), []),
        (
            "asgi-new.cfg",
            SHOP.split("# Redirects", maxsplit=1)[0],
            ["*.shop.test on port 443 (app shop)", "shop.test on port 443 (app shop)"],
        ),
        (
            "asgi-new.cfg",
            TILES.replace("a.shop", "shop").replace("tiles.test", "x.test"),
            ["*.shop.test on port 443 (app shop)"],
        ),
        # the same names on separate ports, and a change of the app that has the names
        ("asgi-new.cfg", SHOP.replace("443", "444").replace("80", "81"), []),
        ("asgi-shop.cfg", SHOP, []),
    ],
)
def test_duplicate_names(name, text, expected):
    assert decide.duplicate_names({**BOTH, name: text}, {name, "asgi-00-shared.cfg"}) == expected


def test_apps_on():
    assert decide.apps_on(BOTH, 443) == ["asgi-shop.cfg", "asgi-tiles.cfg"]
    assert decide.apps_on(BOTH, 8443) == ["asgi-tiles.cfg"]
    assert decide.apps_on(BOTH, 81) == []


def test_unneeded():
    after = {name: text for name, text in BOTH.items() if name != "asgi-shop.cfg"}
    there = {**after, **decide.lookup_files(BOTH)}
    assert decide.unneeded(there) == ["asgi-01-http-80.cfg", "challenges-80.map", "hosts-80.map", "suffixes-80.map"]

    del there["asgi-tiles.cfg"]
    gone = decide.unneeded({**there, "mine.cfg": "", "runtime.py": ""})

    assert gone[-1] == "asgi-00-shared.cfg"
    assert set(gone) == {*SHARED, *decide.lookup_files(BOTH)}
    # frontends are removed before the lookup files that they use
    assert max(gone.index(name) for name in SHARED[1:]) < min(gone.index(name) for name in decide.lookup_files(BOTH))
    assert decide.unneeded(BOTH) == []


SAID = """[NOTICE]   (1263) : haproxy version is 2.6.12
[WARNING]  (1263) : config : parsing [/tmp/t/etc/asgi-a.cfg:21] : late.
[WARNING]  (1263) : config : Can't open global server state file '/run/x': No such file or directory
[WARNING]  (1263) : config : parsing [/tmp/t/etc/asgi-a.cfg:21] : late.
[ALERT]    (1263) : config : parsing [/tmp/t/etc/asgi-a.cfg:3] : unknown keyword 'x'
  did you mean y?
"""
MOVES = {"/etc/haproxy/asgi/": "/tmp/t/etc/"}


def test_error_lines_and_warnings():
    assert decide.warnings(SAID, MOVES) == ["parsing [/etc/haproxy/asgi/asgi-a.cfg:21] : late."]
    lines = decide.error_lines(SAID, MOVES).splitlines()
    assert lines[-2:] == ["parsing [/etc/haproxy/asgi/asgi-a.cfg:3] : unknown keyword 'x'", "did you mean y?"]
    assert "version" not in lines[0]
    assert decide.error_lines("", {}) == ""
