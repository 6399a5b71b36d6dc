# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks that remove a site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from rendering import Environment, defaults, rendered

TASKS = Path(__file__).parents[4] / "roles/asgi_proxy/tasks/uninstall.yml"
SITE = {**defaults("asgi_proxy"), "asgi_name": "shop", "asgi_proxy_server_names": ["a.test"]}


@pytest.mark.parametrize(("given", "uses"), [({}, False), ({"asgi_proxy_require_sni": False}, True)])
def test_the_certificate_without_names_remains_while_a_default_server_uses_it(given, uses):
    find = next(each["ansible.builtin.find"] for each in yaml.safe_load(TASKS.read_text()) if "no_sni" in str(each))
    contains = Environment("asgi_proxy").templated(find["contains"])
    text = rendered("asgi_proxy", {**SITE, **given})["asgi-01-default-443.conf"]
    # The module compares the beginning of each line.
    assert any(re.match(contains, line) for line in text.splitlines()) is uses


@pytest.mark.parametrize(
    ("found", "removed"),
    [
        (["tls", "htpasswd", "maintenance.html"], ["htpasswd", "maintenance.html"]),
        # an app that shared the name of another app's site
        (["htpasswd"], ["", "htpasswd"]),
        (["tls"], []),
        ([], [""]),
    ],
)
def test_the_directory_of_the_site_remains_only_with_a_certificate(found, removed):
    environment = Environment("asgi_proxy")
    files = [{"path": f"/etc/asgi/shop/{name}"} for name in found]
    environment.use({**SITE, "__asgi_proxy_site_files": {"files": files}})
    expected = [f"/etc/asgi/shop/{name}".rstrip("/") for name in removed]
    assert environment.variables.get("__asgi_proxy_leftovers", None) == expected
