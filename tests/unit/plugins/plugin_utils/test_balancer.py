# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils import balancer

ROLES = Path(__file__).resolve().parents[4] / "roles"
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
        "asgi_proxy_locations": [{"url": "/slow", "read_timeout": 600}, {"url": "/b"}],
    },
    "web1-tiles": {"asgi_name": "tiles", "ansible_host": "10.0.0.1"},
    "other": {},
}


def test_the_defaults_are_those_of_the_roles():
    roles = [yaml.safe_load((ROLES / role / "defaults/main.yml").read_text()) for role in ("asgi_proxy", "asgi_server")]
    found = {**roles[0], **roles[1]}
    assert {name: found[name] for name in balancer.DEFAULTS} == balancer.DEFAULTS


def test_what_the_inventory_says_of_an_app():
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


def test_an_address_where_the_inventory_has_none():
    assert balancer.balanced_app(["web"], {"web": {"asgi_name": "shop"}}, "shop")["servers"][0]["address"] == "web"


def test_health_is_asked_where_maintenance_does_not_hold():
    both = {"web": {"asgi_name": "shop", "asgi_proxy_health_url": "/up", "asgi_server_probe_path": "/deep"}}
    assert balancer.balanced_app(both, both, "shop")["health_url"] == "/up"
    del both["web"]["asgi_proxy_health_url"]
    assert balancer.balanced_app(both, both, "shop")["health_url"] == "/deep"


def test_certificates_are_verified_where_somebody_has_signed_them():
    def verify(*providers):
        hosts = {str(n): {"asgi_name": "a", "asgi_proxy_tls_provider": each} for n, each in enumerate(providers)}
        return balancer.balanced_app(hosts, hosts, "a")["verify"]

    assert verify("provided", "acme") == "system"
    assert verify("provided", "selfsigned") == "none"


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"asgi_proxy_read_timeout": "120"}, "asgi_proxy_read_timeout of web is the text '120' -> give a number"),
        ({"asgi_proxy_https_port": "8443"}, "asgi_proxy_https_port of web is the text '8443' -> give a number"),
        # would count as true, and its letters as networks
        ({"asgi_proxy_proxy_protocol": "false"}, "asgi_proxy_proxy_protocol of web is the text 'false'"),
        ({"asgi_proxy_trusted": "10.0.0.9"}, "asgi_proxy_trusted of web is the text '10.0.0.9' -> give a list"),
        ({"asgi_proxy_trusted": None}, "asgi_proxy_trusted of web is null -> leave it out"),
        (
            {"asgi_proxy_locations": [{"path": "/a"}, {"path": "/b", "read_timeout": "600"}]},
            r"asgi_proxy_locations\[1\].read_timeout of web is the text '600'",
        ),
    ],
)
def test_what_a_role_of_the_hosts_would_refuse_is_refused(variables, told):
    hosts = {"web": {"asgi_name": "shop", **variables}}
    with pytest.raises(ValueError, match=told):
        balancer.balanced_app(hosts, hosts, "shop")


def test_an_app_that_no_host_has():
    app = balancer.balanced_app(HOSTVARS, HOSTVARS, "nobody")
    assert (app["servers"], app["server_names"], app["server_timeout"]) == ([], [], 65)


def test_peers():
    hosts = {
        "lb1-shop": {"asgi_name": "shop", "ansible_host": "10.0.0.9"},
        "lb1-tiles": {"asgi_name": "tiles", "ansible_host": "10.0.0.9"},
        "lb2-shop": {"asgi_name": "shop", "ansible_host": "lb2", "asgi_balancer_address": "10.0.0.8"},
    }
    assert balancer.peers(hosts, hosts, "shop") == ["10.0.0.9", "10.0.0.8"]


def test_the_balancers_to_ask_about_some_hosts():
    names = {"web1": "shop", "map1": "tiles", "lb-tiles": "tiles", "lb-shop": "shop", "lb-blog": "blog"}
    hostvars = {**{host: {"asgi_name": name} for host, name in names.items()}, "lb": {}}
    balancers = ["lb-tiles", "lb", "lb-shop", "lb-blog"]

    # those of other apps, too, which may have traffic for the same machines
    found = balancer.balancers_of(balancers, hostvars, ["web1"])
    assert found == {"lb-shop": ["asgi_shop"], "lb-tiles": ["asgi_tiles"], "lb": None, "lb-blog": ["asgi_blog"]}
    assert next(iter(found)) == "lb-shop"
    assert list(balancer.balancers_of(balancers, hostvars, ["web1", "map1"]))[:2] == ["lb-tiles", "lb-shop"]
    assert balancer.balancers_of([], hostvars, ["web1"]) == {}


def test_a_balancer_of_several_apps_is_asked_once():
    hostvars = {
        "web1": {"asgi_name": "shop"},
        "lb1-tiles": {"asgi_name": "tiles", "ansible_host": "10.0.0.11"},
        "lb1-shop": {"asgi_name": "shop", "ansible_host": "10.0.0.11"},
        "lb2-shop": {"asgi_name": "shop", "ansible_host": "10.0.0.12"},
        "lb2": {"ansible_host": "10.0.0.12"},
    }
    balancers = [name for name in hostvars if name.startswith("lb")]
    assert balancer.balancers_of(balancers, hostvars, ["web1"]) == {
        "lb1-shop": ["asgi_shop", "asgi_tiles"],
        "lb2-shop": None,
    }


def test_machines_behind_one_address_are_each_asked():
    hostvars = {name: {"asgi_name": "shop", "ansible_host": "gate", "ansible_port": name} for name in ("2201", "2202")}
    assert len(balancer.balancers_of(hostvars, hostvars, [])) == 2


def test_a_balancer_of_an_app_that_cannot_be():
    with pytest.raises(ValueError, match="cannot name an app"):
        balancer.balancers_of(["lb"], {"lb": {"asgi_name": "No App"}}, [])
