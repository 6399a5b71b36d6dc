# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.keepalive import keepalive_order


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({"asgi_proxy_upstream_keepalive_timeout": 2, "asgi_server_keepalive": 10}, False),
        ({"asgi_proxy_upstream_keepalive_timeout": 9, "asgi_server_keepalive": 10}, False),
        ({"asgi_proxy_upstream_keepalive_timeout": 10, "asgi_server_keepalive": 10}, True),
        ({"asgi_proxy_upstream_keepalive_timeout": 75, "asgi_server_keepalive": 5}, True),
        ({"asgi_proxy_upstream_keepalive_timeout": 75}, False),
        ({}, False),
    ],
)
def test_app_must_close_idle_connections_after_nginx(options, refused):
    found = keepalive_order(options)
    assert bool(found) is refused
    for problem in found:
        assert f"is {options['asgi_proxy_upstream_keepalive_timeout']} s" in problem.fault
        assert f"asgi_server_keepalive is {options['asgi_server_keepalive']} s" in problem.fault
