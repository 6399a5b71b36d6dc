# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils import certificate as certificates
from ansible_collections.asgi.deploy.plugins.plugin_utils.balancer import balanced_app
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import asgi_balancer
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Doubt, Problem

ROLES = Path(__file__).resolve().parents[5] / "roles"
HOST = {"asgi_name": "shop", "asgi_proxy_server_names": ["shop.test"], "asgi_proxy_trusted": ["10.0.0.9"]}
HOSTS = {"web1": HOST, "web2": HOST}


def options_of(hosts):
    app = balanced_app(hosts, hosts, "shop")
    defaults = yaml.safe_load((ROLES / "asgi_balancer/defaults/main.yml").read_text())
    own = {"asgi_balancer_address": "10.0.0.9", "asgi_balancer_peers": ["10.0.0.9"]}
    return {**defaults, **own, "asgi_name": "shop", "asgi_balancer_app": app}


GOOD = options_of(HOSTS)
SHARED = {
    "asgi_balancer_virtual_ip": "192.0.2.10/24",
    "asgi_balancer_interface": "eth0",
    "asgi_balancer_vrrp_password": "s3cret",
    "asgi_balancer_peers": ["10.0.0.9", "10.0.0.8"],
}
SERVER = {"name": "web1", "address": "10.0.0.1", "port": 443}


def problems(find=Path, **options):
    return asgi_balancer.problems(Context(options={**GOOD, **options}, find=find))


def test_what_the_inventory_gives_is_good():
    assert problems() == []
    assert problems(**SHARED) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("asgi_balancer_servers", [{**SERVER, "weight": 1}, {**SERVER, "name": "b", "address": "2001:db8::1"}]),
        ("asgi_balancer_servers", [{**SERVER, "address": "web1.example.com"}]),
        ("asgi_balancer_server_names", ["*.shop.test"]),
        ("asgi_balancer_health_url", "/health?deep=1"),
        ("asgi_balancer_verify", "system"),
    ],
)
def test_accepted(option, value):
    assert problems(**{option: value}) == []


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("asgi_balancer_servers", [], "is empty"),
        ("asgi_balancer_servers", [{**SERVER, "name": "web 1"}], "cannot name a server"),
        ("asgi_balancer_servers", [{**SERVER, "name": "web/1"}], "cannot name a server"),
        ("asgi_balancer_servers", [SERVER, {**SERVER, "address": "10.0.0.2"}], "the name 'web1' more than once"),
        ("asgi_balancer_servers", [SERVER, {**SERVER, "name": "b"}], "10.0.0.1:443 more than once"),
        ("asgi_balancer_servers", [{**SERVER, "address": "10.0.0.1 backup"}], "has the address"),
        ("asgi_balancer_servers", [{**SERVER, "address": "unix@/x"}], "has the address"),
        ("asgi_balancer_servers", [{**SERVER, "port": 0}], "has the port 0"),
        ("asgi_balancer_servers", [{**SERVER, "weight": 0}], "has the weight 0"),
        ("asgi_balancer_server_names", [], "is empty"),
        ("asgi_balancer_server_names", ["10.0.0.1"], "is an address"),
        ("asgi_balancer_server_names", ["a b.test"], "not a DNS name"),
        ("asgi_balancer_http_port", 443, "as is asgi_balancer_https_port"),
        ("asgi_balancer_http_port", 0, "is 0"),
        ("asgi_balancer_health_url", "health", "is 'health'"),
        ("asgi_balancer_health_url", "/a b", "is '/a b'"),
        ("asgi_balancer_health_url", "/a'b", "is"),
        ("asgi_balancer_health_statuses", [], "is []"),
        ("asgi_balancer_health_statuses", [20], "is [20]"),
        ("asgi_balancer_health_interval", 0, "is 0"),
        ("asgi_balancer_connect_timeout", 0, "is 0"),
        ("asgi_balancer_server_timeout", 0, "is 0"),
        ("asgi_balancer_hsts_max_age", -1, "is -1"),
        ("asgi_balancer_hsts_preload", True, "does not take the name"),
        ("asgi_balancer_tls_certificate", "x.crt", "which ignores it"),
        ("asgi_balancer_verify", "/no/such/ca.pem", "No such file"),
    ],
)
def test_refused(option, value, fault):
    found = problems(**{option: value})
    assert [each.variable for each in found] == [option]
    assert fault in found[0].fault


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("asgi_balancer_virtual_ip", "192.0.2.10", "is '192.0.2.10'"),
        ("asgi_balancer_virtual_ip", "2001:db8::10/64", "is '2001:db8::10/64'"),
        ("asgi_balancer_virtual_ip", "192.0.2.10/255.255.255.0", "is"),
        ("asgi_balancer_interface", "eth0 x", "is 'eth0 x'"),
        ("asgi_balancer_vrrp_password", "much too long", "is not 1 to 8"),
        ("asgi_balancer_vrrp_password", "a b", "is not 1 to 8"),
        ("asgi_balancer_router_id", 256, "is 256"),
        ("asgi_balancer_peers", ["10.0.0.9"], "takes two"),
        ("asgi_balancer_peers", ["10.0.0.7", "10.0.0.8"], "without '10.0.0.9'"),
        ("asgi_balancer_peers", ["10.0.0.9", "lb2"], "'lb2', which is no IPv4 address"),
    ],
)
def test_sharing_refused(option, value, fault):
    found = problems(**{**SHARED, option: value})
    assert [each.variable for each in found] == [option]
    assert fault in found[0].fault
    assert "much too long" not in found[0].fault


@pytest.mark.parametrize(
    "missing", ["asgi_balancer_virtual_ip", "asgi_balancer_interface", "asgi_balancer_vrrp_password"]
)
def test_sharing_takes_all_three(missing):
    found = problems(**{name: value for name, value in SHARED.items() if name != missing})
    assert {each.variable for each in found} == {missing}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("asgi_proxy_trusted", []),
        ("asgi_proxy_proxy_protocol", True),
    ],
)
def test_hosts_that_would_not_work_with_a_balancer(variable, value):
    options = options_of({"web1": HOST, "web2": {**HOST, variable: value}})
    assert [each.variable for each in problems(**options)] == [variable]


@pytest.mark.parametrize(
    ("trusted", "own", "doubtful"),
    [
        (["10.0.0.8", "10.0.0.9"], "10.0.0.9", False),
        (["10.0.0.0/24"], "10.0.0.9", False),
        # as nginx reads it
        (["10.0.0.1/24"], "10.0.0.9", False),
        (["2001:db8::/32"], "2001:db8::9", False),
        (["10.0.0.8"], "10.0.0.9", True),
        (["10.1.0.0/24", "2001:db8::/32"], "10.0.0.9", True),
        (["10.0.0.0/24"], "2001:db8::9", True),
        # what is no network asgi_proxy refuses
        (["balancer.test"], "10.0.0.9", True),
        # nothing is known of these
        (["10.0.0.8"], "lb1.test", False),
        (["10.0.0.8"], "127.0.0.1", False),
    ],
)
def test_a_balancer_that_the_hosts_do_not_trust(trusted, own, doubtful):
    options = options_of({"web1": {**HOST, "asgi_proxy_trusted": trusted}})
    found = problems(**{**options, "asgi_balancer_address": own})
    assert [(each.variable, type(each)) for each in found] == [("asgi_proxy_trusted", Doubt)] * doubtful
    assert all(f"is {trusted} for web1, without {own}" in each.fault and f"add {own}" in each.remedy for each in found)


def test_hosts_that_trust_the_same_are_told_of_at_once():
    others = {**HOST, "asgi_proxy_trusted": ["10.0.0.7"]}
    hosts = {"web1": others, "web2": others, "web3": {**others, "asgi_proxy_trusted": ["10.0.0.8"]}, "web4": HOST}
    found = [each.fault.partition(",")[0] for each in problems(**options_of(hosts))]
    assert found == ["is ['10.0.0.7'] for web1 and web2", "is ['10.0.0.8'] for web3"]


def test_hosts_that_trust_nobody_are_a_fault_and_no_doubt():
    found = problems(**options_of({"web1": {**HOST, "asgi_proxy_trusted": []}}))
    assert [(each.variable, type(each)) for each in found] == [("asgi_proxy_trusted", Problem)]


def test_the_certificate_is_checked_as_that_of_asgi_proxy_is(monkeypatch):
    seen = []
    monkeypatch.setattr(certificates, "faults", lambda *arguments: seen.append(arguments) or [])
    given = {"asgi_balancer_tls_certificate_content": "cert", "asgi_balancer_tls_key_content": "key"}
    assert problems(asgi_balancer_tls_provider="provided", **given) == []
    assert seen[0][:3] == (b"cert", b"key", ["shop.test"])


ACME = {"asgi_balancer_tls_provider": "acme", "asgi_balancer_acme_agree_tos": True}


@pytest.mark.parametrize(
    "options", [{}, {"asgi_balancer_redirect": False}, {"asgi_balancer_peers": ["lb1.test", "fd00::1"]}]
)
def test_acme(options):
    assert problems(**ACME, **options) == []


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("asgi_balancer_acme_agree_tos", False, "is false"),
        ("asgi_balancer_acme_port", 0, "is 0"),
        ("asgi_balancer_acme_port", 80, "as is asgi_balancer_http_port"),
        ("asgi_balancer_acme_port", 443, "as is asgi_balancer_https_port"),
        ("asgi_balancer_peers", ["10.0.0.9", "lb 2"], "no address and no name"),
        ("asgi_balancer_peers", ["10.0.0.9", "fe80::1%eth0"], "no address and no name"),
        ("asgi_balancer_server_names", ["*.shop.test"], "wildcard"),
        ("asgi_balancer_tls_certificate", "x.crt", "which ignores it"),
    ],
)
def test_acme_refused(option, value, fault):
    found = problems(**{**ACME, option: value})
    assert [(each.variable, fault in each.fault) for each in found] == [(option, True)]


def test_acme_on_a_host_of_the_app_is_refused():
    found = problems(**ACME, asgi_balancer_servers=[{**SERVER, "address": "10.0.0.9"}])
    assert [(each.variable, "10.0.0.9 is a host of the app, too" in each.fault) for each in found] == [
        ("asgi_balancer_tls_provider", True)
    ]


def test_the_tls_profile_is_that_of_asgi_proxy():
    nginx = (ROLES / "asgi_proxy/templates/etc/nginx/conf.d/tls.conf.j2").read_text()
    variables = yaml.safe_load((ROLES / "asgi_balancer/vars/main.yml").read_text())
    assert f"ssl_ciphers {variables['__asgi_balancer_ciphers']};" in nginx


def test_hsts_is_that_of_asgi_proxy():
    proxy, balancer = (
        yaml.safe_load((ROLES / role / "vars/main.yml").read_text())[f"__{role}_hsts"].replace(role, "")
        for role in ("asgi_proxy", "asgi_balancer")
    )
    assert balancer == proxy
