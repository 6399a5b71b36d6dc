# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of balancers, derived from the inventory."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet import balancer

ROLES = Path(__file__).resolve().parents[5] / "roles"
HOSTVARS = {
    "web1": {"asgi_name": "shop", "ansible_host": "10.0.0.1", "asgi_proxy_server_names": ["shop.test"]},
    "web2": {
        "asgi_name": "shop",
        "ansible_host": "web2.example.com",
        "asgi_balancer_address": "10.0.0.2",
        "asgi_proxy_server_names": ["shop.test", "*.shop.test"],
        "asgi_proxy_redirect_names": ["old.test"],
        "asgi_proxy_https_port": 8443,
        "asgi_proxy_trusted": ["10.0.0.9"],
        "asgi_proxy_trusted_headers": ["X-Forwarded-User", "X-Own"],
        "asgi_proxy_locations": [{"url": "/slow", "read_timeout": 600}, {"url": "/b"}],
    },
    "web1-tiles": {"asgi_name": "tiles", "ansible_host": "10.0.0.1"},
    "other": {},
}


def test_defaults_equal_those_of_the_roles():
    roles = [yaml.safe_load((ROLES / role / "defaults/main.yml").read_text()) for role in ("asgi_proxy", "asgi_server")]
    found = {**roles[0], **roles[1]}
    assert {name: found[name] for name in balancer.DEFAULTS} == balancer.DEFAULTS
    own = yaml.safe_load((ROLES / "asgi_balancer/defaults/main.yml").read_text())
    assert own["asgi_balancer_https_port"] == balancer.BALANCER_HTTPS_PORT


def test_configuration_from_the_variables_of_the_hosts():
    app = balancer.balanced_app(HOSTVARS, HOSTVARS, "shop")

    assert app["servers"] == [
        {"name": "web1", "address": "10.0.0.1", "port": 443},
        {"name": "web2", "address": "10.0.0.2", "port": 8443},
    ]
    assert app["server_names"] == ["shop.test", "*.shop.test", "old.test"]
    assert (app["health_url"], app["health_statuses"]) == ("/health", [200])
    assert (app["server_timeout"], app["websocket_timeout"]) == (605, 3605)
    assert app["trusted"] == {"web1": [], "web2": ["10.0.0.9"]}
    assert app["proxy_protocol"] == []
    assert app["trusted_headers"] == ["X-Forwarded-User", "X-Own"]


def test_ports_of_an_app():
    hosts = {
        "lb1": {"asgi_name": "shop"},
        "lb2": {"asgi_name": "shop", "asgi_balancer_https_port": 8443, "asgi_balancer_public_ports": [443, 18443]},
        "lb3": {"asgi_name": "tiles", "asgi_balancer_https_port": 9443},
        # the checks of lb4 report this invalid port
        "lb4": {"asgi_name": "shop", "asgi_balancer_https_port": "7443"},
        "lb5": {},
    }
    assert balancer.ports(hosts, hosts, "shop") == [443, 8443, 18443]
    assert balancer.ports([], hosts, "shop") == []


def test_inventory_name_is_the_default_address():
    assert balancer.balanced_app(["web"], {"web": {"asgi_name": "shop"}}, "shop")["servers"][0]["address"] == "web"


def test_health_url_bypasses_the_maintenance_page():
    both = {"web": {"asgi_name": "shop", "asgi_proxy_health_url": "/up", "asgi_server_probe_path": "/deep"}}
    assert balancer.balanced_app(both, both, "shop")["health_url"] == "/up"
    del both["web"]["asgi_proxy_health_url"]
    assert balancer.balanced_app(both, both, "shop")["health_url"] == "/deep"


def test_selfsigned_certificates_are_not_verified():
    def verify(*providers):
        hosts = {str(n): {"asgi_name": "a", "asgi_proxy_tls_provider": each} for n, each in enumerate(providers)}
        return balancer.balanced_app(hosts, hosts, "a")["verify"]

    assert verify("provided", "acme") == "system"
    assert verify("provided", "selfsigned") == "none"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"asgi_proxy_read_timeout": "120"}, "asgi_proxy_read_timeout of web is the string '120' -> use a number"),
        ({"asgi_proxy_https_port": "8443"}, "asgi_proxy_https_port of web is the string '8443' -> use a number"),
        # Python would treat the first string as true, and the second as a list of characters
        ({"asgi_proxy_proxy_protocol": "false"}, "asgi_proxy_proxy_protocol of web is the string 'false'"),
        ({"asgi_proxy_trusted": "10.0.0.9"}, "asgi_proxy_trusted of web is the string '10.0.0.9' -> use a list"),
        ({"asgi_proxy_trusted": None}, "asgi_proxy_trusted of web is null -> remove it"),
        (
            {"asgi_proxy_locations": [{"path": "/a"}, {"path": "/b", "read_timeout": "600"}]},
            r"asgi_proxy_locations\[1\].read_timeout of web is the string '600'",
        ),
    ],
)
def test_mistyped_variables_are_rejected(variables, message):
    hosts = {"web": {"asgi_name": "shop", **variables}}
    with pytest.raises(ValueError, match=message):
        balancer.balanced_app(hosts, hosts, "shop")


def test_app_without_hosts():
    app = balancer.balanced_app(HOSTVARS, HOSTVARS, "other")
    assert (app["servers"], app["server_names"], app["server_timeout"]) == ([], [], 65)


def test_peers_are_distinct_addresses_of_the_app():
    hosts = {
        "lb1-shop": {"asgi_name": "shop", "ansible_host": "10.0.0.9"},
        "lb1-tiles": {"asgi_name": "tiles", "ansible_host": "10.0.0.9"},
        "lb2-shop": {"asgi_name": "shop", "ansible_host": "lb2", "asgi_balancer_address": "10.0.0.8"},
    }
    assert balancer.peers(hosts, hosts, "shop") == ["10.0.0.9", "10.0.0.8"]
