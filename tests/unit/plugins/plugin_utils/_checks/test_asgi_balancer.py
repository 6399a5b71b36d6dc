# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import asgi_balancer
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import certificate as certificates
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import balanced_app
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Doubt, Problem

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


def test_values_from_the_inventory_are_valid():
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
def test_valid_values_are_accepted(option, value):
    assert problems(**{option: value}) == []


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("asgi_balancer_servers", [], "backends-empty"),
        ("asgi_balancer_servers", [{**SERVER, "name": "web 1"}], "backend-name-invalid"),
        ("asgi_balancer_servers", [{**SERVER, "name": "web/1"}], "backend-name-invalid"),
        ("asgi_balancer_servers", [SERVER, {**SERVER, "address": "10.0.0.2"}], "backend-duplicate"),
        ("asgi_balancer_servers", [SERVER, {**SERVER, "name": "b"}], "backend-duplicate"),
        ("asgi_balancer_servers", [{**SERVER, "address": "10.0.0.1 backup"}], "backend-address-invalid"),
        ("asgi_balancer_servers", [{**SERVER, "address": "unix@/x"}], "backend-address-invalid"),
        (
            "asgi_balancer_servers",
            [{**SERVER, "address": "fe80::1%a\n  server evil 192.0.2.66:80"}],
            "backend-address-invalid",
        ),
        ("asgi_balancer_servers", [{**SERVER, "address": "fe80::1%eth0"}], "backend-address-invalid"),
        ("asgi_balancer_servers", [{**SERVER, "port": 0}], "port-out-of-range"),
        ("asgi_balancer_servers", [{**SERVER, "weight": 0}], "number-out-of-range"),
        ("asgi_balancer_server_names", [], "server-names-empty"),
        ("asgi_balancer_public_ports", [8443, 65536], "port-out-of-range"),
        ("asgi_balancer_server_names", ["10.0.0.1"], "server-name-is-address"),
        ("asgi_balancer_server_names", ["a b.test"], "server-name-invalid"),
        ("asgi_balancer_http_port", 443, "port-duplicate"),
        ("asgi_balancer_http_port", 0, "port-out-of-range"),
        ("asgi_balancer_health_url", "health", "health-url-invalid"),
        ("asgi_balancer_health_url", "/a b", "health-url-invalid"),
        ("asgi_balancer_health_url", "/a'b", "health-url-invalid"),
        ("asgi_balancer_health_statuses", [], "http-status-invalid"),
        ("asgi_balancer_health_statuses", [20], "http-status-invalid"),
        ("asgi_balancer_health_interval", 0, "number-out-of-range"),
        ("asgi_balancer_connect_timeout", 0, "number-out-of-range"),
        ("asgi_balancer_server_timeout", 0, "number-out-of-range"),
        ("asgi_balancer_hsts_max_age", -1, "number-out-of-range"),
        ("asgi_balancer_hsts_preload", True, "hsts-preload-incomplete"),
        ("asgi_balancer_tls_certificate", "x.crt", "tls-variable-unused"),
        ("asgi_balancer_verify", "/no/such/ca.pem", "file-unreadable"),
    ],
)
def test_invalid_values_are_rejected(option, value, code):
    found = problems(**{option: value})
    assert [(each.variable, each.code) for each in found] == [(option, code)]


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("asgi_balancer_virtual_ip", "192.0.2.10", "virtual-ip-invalid"),
        ("asgi_balancer_virtual_ip", "2001:db8::10/64", "virtual-ip-invalid"),
        ("asgi_balancer_virtual_ip", "192.0.2.10/255.255.255.0", "virtual-ip-invalid"),
        ("asgi_balancer_interface", "eth0 x", "interface-name-invalid"),
        ("asgi_balancer_vrrp_password", "much too long", "vrrp-password-invalid"),
        ("asgi_balancer_vrrp_password", "a b", "vrrp-password-invalid"),
        ("asgi_balancer_router_id", 256, "number-out-of-range"),
        ("asgi_balancer_peers", ["10.0.0.9"], "balancer-peers-too-few"),
        ("asgi_balancer_peers", ["10.0.0.7", "10.0.0.8"], "balancer-peers-without-self"),
        ("asgi_balancer_peers", ["10.0.0.9", "lb2"], "balancer-peer-invalid"),
    ],
)
def test_invalid_virtual_addresses_are_rejected(option, value, code):
    found = problems(**{**SHARED, option: value})
    assert [(each.variable, each.code) for each in found] == [(option, code)]
    assert "much too long" not in found[0].fault


@pytest.mark.parametrize(
    "missing", ["asgi_balancer_virtual_ip", "asgi_balancer_interface", "asgi_balancer_vrrp_password"]
)
def test_virtual_address_needs_all_three_variables(missing):
    found = problems(**{name: value for name, value in SHARED.items() if name != missing})
    assert {(each.variable, each.code) for each in found} == {(missing, "virtual-ip-incomplete")}


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("asgi_proxy_trusted", [], "balancer-trusted-empty"),
        ("asgi_proxy_proxy_protocol", True, "balancer-proxy-protocol"),
        ("asgi_proxy_trusted_headers", ["X-A)$ -m reg"], "header-name-invalid"),
    ],
)
def test_hosts_that_do_not_work_with_a_balancer_are_rejected(variable, value, code):
    options = options_of({"web1": HOST, "web2": {**HOST, variable: value}})
    assert [(each.variable, each.code) for each in problems(**options)] == [(variable, code)]


@pytest.mark.parametrize(
    ("trusted", "own", "doubtful"),
    [
        (["10.0.0.8", "10.0.0.9"], "10.0.0.9", False),
        (["10.0.0.0/24"], "10.0.0.9", False),
        # nginx ignores the host bits.
        (["10.0.0.1/24"], "10.0.0.9", False),
        (["2001:db8::/32"], "2001:db8::9", False),
        (["10.0.0.8"], "10.0.0.9", True),
        (["10.1.0.0/24", "2001:db8::/32"], "10.0.0.9", True),
        (["10.0.0.0/24"], "2001:db8::9", True),
        # asgi_proxy rejects a host name in this list.
        (["balancer.test"], "10.0.0.9", True),
        # The hosts may see requests from another address.
        (["10.0.0.8"], "lb1.test", False),
        (["10.0.0.8"], "127.0.0.1", False),
    ],
)
def test_untrusted_balancer_is_reported_as_a_doubt(trusted, own, doubtful):
    options = options_of({"web1": {**HOST, "asgi_proxy_trusted": trusted}})
    found = problems(**{**options, "asgi_balancer_address": own})
    assert [(each.variable, type(each)) for each in found] == [("asgi_proxy_trusted", Doubt)] * doubtful
    assert all(f"is {trusted} for web1, without {own}" in each.fault and f"add {own}" in each.remedy for each in found)


def test_one_doubt_covers_all_hosts_with_the_same_addresses():
    others = {**HOST, "asgi_proxy_trusted": ["10.0.0.7"]}
    hosts = {"web1": others, "web2": others, "web3": {**others, "asgi_proxy_trusted": ["10.0.0.8"]}, "web4": HOST}
    found = [each.fault.partition(",")[0] for each in problems(**options_of(hosts))]
    assert found == ["is ['10.0.0.7'] for web1 and web2", "is ['10.0.0.8'] for web3"]


def test_hosts_without_trusted_addresses_are_an_error():
    found = problems(**options_of({"web1": {**HOST, "asgi_proxy_trusted": []}}))
    assert [(each.variable, type(each)) for each in found] == [("asgi_proxy_trusted", Problem)]


def test_certificate_and_key_are_checked(monkeypatch):
    seen = []
    monkeypatch.setattr(certificates, "faults", lambda *arguments: seen.append(arguments) or [])
    given = {"asgi_balancer_tls_certificate_content": "cert", "asgi_balancer_tls_key_content": "key"}
    assert problems(asgi_balancer_tls_provider="provided", **given) == []
    assert seen[0][:3] == (b"cert", b"key", ["shop.test"])


ACME = {"asgi_balancer_tls_provider": "acme", "asgi_balancer_acme_agree_tos": True}


@pytest.mark.parametrize(
    "options", [{}, {"asgi_balancer_redirect": False}, {"asgi_balancer_peers": ["lb1.test", "fd00::1"]}]
)
def test_valid_acme_variables_are_accepted(options):
    assert problems(**ACME, **options) == []


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("asgi_balancer_acme_agree_tos", False, "acme-terms-not-accepted"),
        ("asgi_balancer_acme_port", 0, "port-out-of-range"),
        ("asgi_balancer_acme_port", 80, "port-duplicate"),
        ("asgi_balancer_acme_port", 443, "port-duplicate"),
        ("asgi_balancer_peers", ["10.0.0.9", "lb 2"], "balancer-peer-invalid"),
        ("asgi_balancer_peers", ["10.0.0.9", "fe80::1%eth0"], "balancer-peer-invalid"),
        ("asgi_balancer_server_names", ["*.shop.test"], "acme-wildcard"),
        ("asgi_balancer_tls_certificate", "x.crt", "tls-variable-unused"),
    ],
)
def test_invalid_acme_variables_are_rejected(option, value, code):
    found = problems(**{**ACME, option: value})
    assert [(each.variable, each.code) for each in found] == [(option, code)]


def test_acme_balancer_on_a_host_of_the_app_is_rejected():
    found = problems(**ACME, asgi_balancer_servers=[{**SERVER, "address": "10.0.0.9"}])
    assert [(each.variable, each.code) for each in found] == [
        ("asgi_balancer_tls_provider", "acme-balancer-on-app-host")
    ]
