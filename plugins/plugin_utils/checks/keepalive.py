# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one rule that binds two roles: who closes an idle connection between nginx and the application."""

from __future__ import annotations

from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Problem


def keepalive_order(options: dict[str, Any]) -> list[Problem]:
    """Return the objection to an application that closes idle connections before nginx does."""
    proxy = options.get("asgi_proxy_upstream_keepalive_timeout")
    server = options.get("asgi_server_keepalive")
    if proxy is None or server is None or proxy < server:
        return []
    return [
        Problem(
            "asgi_proxy_upstream_keepalive_timeout",
            f"is {proxy} s and asgi_server_keepalive is {server} s, so the application would close idle connections "
            f"that nginx is about to use, and lose requests",
            "make asgi_server_keepalive the larger one, by several seconds",
        )
    ]
