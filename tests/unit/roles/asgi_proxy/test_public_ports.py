# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that a client may send in Host."""

from __future__ import annotations

import pytest

from tests.rendering import Environment

OWN = {"asgi_name": "shop", "asgi_proxy_https_port": 443, "asgi_proxy_public_ports": [8443]}
HOSTVARS = {"lb1": {"asgi_name": "shop", "asgi_balancer_https_port": 9443}}


@pytest.mark.parametrize(
    ("groups", "given", "queried", "ports"),
    [
        # no pattern is queried without balancers, because Ansible warns about a pattern that matches no host
        ({}, {}, [], [443, 8443]),
        ({"asgi_balancers": ["lb1"]}, {}, [], [443, 8443, 9443]),
        ({}, {"asgi_balancer_hosts": "lb*"}, ["lb*"], [443, 8443, 9443]),
    ],
)
def test_ports_of_balancers_in_the_inventory(groups, given, queried, ports):
    environment, patterns = Environment("asgi_proxy"), []

    def query(_plugin, pattern):
        patterns.append(pattern)
        return ["lb1"]

    environment.globals.update(groups=groups, hostvars=HOSTVARS, query=query)
    environment.use({**OWN, **given})
    assert environment.variables.get("__asgi_proxy_public_ports", None) == ports
    assert patterns == queried
