# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the idle timeouts of nginx and the app, which are variables of two roles."""

from __future__ import annotations

from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem


def keepalive_order(options: dict[str, Any]) -> list[Problem]:
    """Return a problem if the app closes idle connections before nginx does."""
    proxy = options.get("asgi_proxy_upstream_keepalive_timeout")
    server = options.get("asgi_server_keepalive")
    if proxy is None or server is None or proxy < server:
        return []
    fault = (
        f"is {proxy} s and asgi_server_keepalive is {server} s, so the app would close idle connections that nginx is about "
        f"to use, and lose requests"
    )
    remedy = "set asgi_server_keepalive several seconds higher"
    return [Problem("keepalive-order", "asgi_proxy_upstream_keepalive_timeout", fault, remedy)]
