# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locations of files that the app writes."""

from __future__ import annotations

import re

import pytest
from rendering import defaults, rendered

SITE = {
    **defaults("asgi_proxy"),
    "asgi_name": "shop",
    "asgi_proxy_server_names": ["a.test"],
    "asgi_proxy_static": [
        {"url": "/media/", "shared": "files/public/"},
        {"url": "/protected/", "shared": "private", "internal": True},
        {"url": "/static/", "path": "static"},
    ],
}


@pytest.mark.parametrize(
    ("given", "name"), [({}, "asgi-shop.conf"), ({"asgi_proxy_path": "/api"}, "asgi-shop@a.test.inc")]
)
def test_nginx_follows_no_symlink_that_the_app_can_create(given, name):
    # With the whole path of the directory, nginx would serve another app's passwords and uploads through a symlink in its place.
    text = rendered("asgi_proxy", {**SITE, **given})[name]
    skipped = re.findall(r"alias /srv/shop/shared/[^;]+;\s+#[^\n]+\n\s+disable_symlinks on from=([^;]+);", text)
    assert skipped == ["/srv/shop/shared"] * 2
    assert "disable_symlinks on from=/srv/shop/current/code/static;" in text
