# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apps that share a server name: the files of their locations, and clashes between them."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import clashes, joined
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.joined import Joined
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_site import unneeded
from rendering import defaults, rendered

APP = {"asgi_name": "a-pi", "asgi_proxy_server_names": ["shop.test"], "asgi_proxy_path": "/api"}
OWNER = {"asgi_name": "shop", "asgi_proxy_server_names": ["shop.test"], "asgi_proxy_reserved_paths": ["/api", "/later"]}


def files(given, **changes):
    return rendered("asgi_proxy", {**defaults("asgi_proxy"), **given, **changes})


@pytest.fixture
def sites(tmp_path, monkeypatch):
    monkeypatch.setattr(clashes, "SITES", tmp_path)
    for name, text in files(APP).items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["asgi-a-pi.conf", "asgi-a-pi@shop.test.inc"])
def test_both_files_record_the_place(name):
    assert joined.parse(files(APP)[name]) == Joined("/api", "shop.test", True)
    assert joined.parse(files(APP, asgi_proxy_strip_path=False)[name]) == Joined("/api", "shop.test", False)


def test_a_site_of_its_own_records_no_place():
    assert joined.parse(files(OWNER)["asgi-shop.conf"]) is None
    assert joined.parse(None) is None


def test_file_of_a_wildcard_name_is_no_pattern():
    names = {"asgi_proxy_server_names": ["*.shop.test"]}
    name = joined.file_name("a-pi", "*.shop.test")
    assert name in files({**APP, **names})
    assert "include conf.d/asgi-*@_.shop.test.inc;" in files({**OWNER, **names})["asgi-shop.conf"]


def test_urls_of_the_app():
    assert Joined("/api", "shop.test", True).url_path("/health") == "/api/health"
    assert Joined("/api", "shop.test", False).url_path("/api/health") == "/api/health"


def test_the_same_path_of_the_same_name_is_a_clash(sites):
    def found(app, **place):
        wanted = {"path": "/api", "name": "shop.test", "strips": True, **place}
        return clashes.clashes(app, {"path": wanted}, run_command=None)

    assert found("a-pi") == []
    assert found("other", path="/web") == []
    assert found("other", name="other.test") == []
    assert "/api of shop.test belongs to the app a-pi already -> " in found("other")[0]


def test_reserved_paths_without_an_app(sites):
    site = files(OWNER)["asgi-shop.conf"]
    assert joined.vacant(site, ["shop.test"], sites) == ["/later"]
    (sites / "asgi-a-pi@shop.test.inc").unlink()
    assert joined.vacant(site, ["shop.test"], sites) == ["/api", "/later"]


def test_locations_of_the_owner_below_the_path_of_another_app(sites):
    given = {
        "asgi_proxy_locations": [
            {"url": "/"},
            {"url": "/api"},
            {"url": "/api/v1.0/x-y/"},
            {"url": "/api/one", "exact": True},
            {"url": "/apis"},
        ],
        "asgi_proxy_static": [{"url": "/static/", "path": "a"}, {"url": "/api/static/", "path": "b"}],
        "asgi_proxy_health_url": "/api/health",
    }
    site = files(OWNER, **given)["asgi-shop.conf"]
    urls = ["/api/health", "/api/one", "/api/v1.0/x-y/", "/api", "/api/static/"]
    assert joined.overlaps(site, ["shop.test"], sites) == [(url, "/api", "a-pi") for url in urls]
    assert joined.overlaps(site, ["other.test"], sites) == []
    assert joined.overlaps(files(OWNER)["asgi-shop.conf"], ["shop.test"], sites) == []


def test_locations_without_their_app_are_removed_first():
    contents = {**files(OWNER), **files(APP)}
    assert unneeded(contents) == []
    del contents["asgi-a-pi.conf"]
    assert unneeded(contents) == ["asgi-a-pi@shop.test.inc"]
    contents = {**files(OWNER), **files(APP), **files(APP, asgi_proxy_server_names=["other.test"])}
    assert unneeded(contents) == ["asgi-a-pi@shop.test.inc"]


def test_an_app_without_the_owner_needs_no_server_of_its_own():
    contents = {**files(OWNER), **files(APP)}
    del contents["asgi-shop.conf"]
    left = set(contents) - set(unneeded(contents))
    assert left == {"asgi-00-shared.conf", "asgi-a-pi.conf", "asgi-a-pi@shop.test.inc", *_headers(contents)}


def _headers(contents):
    return [name for name in contents if name.startswith("asgi-00-headers-")]
