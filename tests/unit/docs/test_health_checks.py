# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server for health checks in docs/how-to/external-load-balancer.md. molecule/edge tests that nginx accepts it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import servers
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import questions
from ansible_collections.asgi.deploy.plugins.plugin_utils._render import snippets
from rendering import Environment, defaults, rendered

ROOT = Path(__file__).parents[3]
VARIABLE = "asgi_proxy_snippet_http"
SITE = {**defaults("asgi_proxy"), "asgi_name": "web-shop", "asgi_proxy_server_names": ["shop.test", "www.shop.test"]}


def documented(**given):
    """Return the snippet for the site with the variables *given*."""
    text = (ROOT / "docs/how-to/external-load-balancer.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [snippet] = [yaml.safe_load(block)[VARIABLE] for block in blocks if block.startswith(VARIABLE)]
    environment = Environment("asgi_proxy")
    environment.use(given)
    return environment.templated(snippet)


def test_molecule_uses_the_documented_server():
    combinations = yaml.safe_load((ROOT / "molecule/edge/combinations/hosts.yml").read_text())["combinations"]
    snippets_there = [(each or {}).get(VARIABLE, "").rstrip() for each in combinations["hosts"].values()]
    assert documented(**combinations["vars"]) in snippets_there


def test_the_server_passes_health_checks_to_the_app_and_adds_no_site():
    snippet = documented(**SITE)
    assert list(snippets.faults(snippet, snippets.HTTP, upstream="asgi_web-shop")) == []

    before, after = (
        rendered("asgi_proxy", {**SITE, **more})["asgi-web-shop.conf"] for more in ({}, {VARIABLE: snippet})
    )
    [server] = [each for each in servers(after) if each.listens_on(8081)]
    assert server.names == ()
    assert server.values("deny") == [("all",)]
    assert server.nested("proxy_pass") == [("http://asgi_web-shop",)]
    assert ("Host", "shop.test") in server.nested("proxy_set_header")
    assert questions("web-shop", after) == questions("web-shop", before) != []
