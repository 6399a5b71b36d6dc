# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils import certificate as certificates
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import asgi_proxy
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context

REPOSITORY = Path(__file__).resolve().parents[5]
DEFAULTS = yaml.safe_load((REPOSITORY / "roles/asgi_proxy/defaults/main.yml").read_text())
GOOD = {**DEFAULTS, "asgi_name": "hello", "asgi_proxy_server_names": ["hello.test", "*.hello.test"]}
STATIC = {"url": "/static/", "path": "app/static", "max_age": 60}
HASH = "$6$qPvz0aXBNnRVoLhE$" + "a" * 86
USERS = {"alice": HASH}
COMBINATIONS = yaml.safe_load((REPOSITORY / "molecule/edge/combinations/hosts.yml").read_text())["combinations"]


def problems(find=Path, **options):
    return asgi_proxy.problems(Context(options={**GOOD, **options}, find=find))


def test_defaults_are_good():
    assert problems() == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("asgi_proxy_server_names", ["localhost"]),
        ("asgi_proxy_server_names", ["xn--bcher-kva.example", "1.example"]),
        ("asgi_proxy_log_redact", []),
        ("asgi_proxy_log_redact", ["my-token", "x.y_z~"]),
        ("asgi_proxy_status_listen", "127.0.0.1:8090"),
        ("asgi_proxy_status_listen", "[::1]:8090"),
        ("asgi_proxy_body_size", "0"),
        ("asgi_proxy_body_size", "1G"),
        ("asgi_proxy_hsts_max_age", 0),
        ("asgi_proxy_headers", {"Content-Security-Policy": "default-src 'self'; img-src *"}),
        ("asgi_proxy_static", [STATIC, {"url": "/a/b/", "path": "x/"}]),
        ("asgi_proxy_redirect_names", ["www.hello.org", "*.old.test"]),
        ("asgi_proxy_trusted", ["10.0.0.5", "10.1.2.3/24", "2001:db8::/32", "::1"]),
        ("asgi_proxy_header_size", "64k"),
        ("asgi_proxy_users", {"alice": HASH, "bob.b@x": "$apr1$salt$abcd", "carol": "$6$rounds=10000$salt$abcd"}),
        ("asgi_proxy_locations", [{"url": "/"}, {"url": "/", "exact": True}, {"url": "/a"}, {"url": "/a/"}]),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "5r/s", "burst": 0, "connections": 0, "body_size": "0"}]),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "", "allow": [], "basic_auth": ""}]),
    ],
)
def test_accepted(option, value):
    assert problems(**{option: value}) == []


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("asgi_proxy_server_names", [], "is empty"),
        ("asgi_proxy_log_redact", ["a b"], "'a b' is not the name of a query parameter"),
        ("asgi_proxy_log_redact", ["a" * 64] * 40, "more than 2000 characters"),
        ("asgi_proxy_status_listen", "0.0.0.0:8090", "is '0.0.0.0:8090'"),
        ("asgi_proxy_status_listen", "8090", "is '8090'"),
        ("asgi_proxy_server_names", ["https://a.test"], "'https://a.test', which is not a DNS name"),
        ("asgi_proxy_server_names", ["a.test:443"], "not a DNS name"),
        ("asgi_proxy_server_names", ["A.test"], "not a DNS name"),
        ("asgi_proxy_server_names", ["a.test."], "not a DNS name"),
        ("asgi_proxy_server_names", ["-a.test"], "not a DNS name"),
        ("asgi_proxy_server_names", ["*"], "not a DNS name"),
        ("asgi_proxy_server_names", ["a.*.test"], "not a DNS name"),
        ("asgi_proxy_server_names", ["~^a"], "not a DNS name"),
        ("asgi_proxy_server_names", ["a.test; include /x"], "not a DNS name"),
        ("asgi_proxy_server_names", ["a.test\n"], "not a DNS name"),
        ("asgi_proxy_server_names", ["a" * 64 + ".test"], "not a DNS name"),
        ("asgi_proxy_server_names", [".".join(["a" * 60] * 5)], "not a DNS name"),
        ("asgi_proxy_server_names", ["10.0.0.1"], "is an address"),
        ("asgi_proxy_server_names", ["a.test", "a.test"], "more than once"),
        ("asgi_proxy_http_port", 0, "is 0"),
        ("asgi_proxy_https_port", 65536, "is 65536"),
        ("asgi_proxy_http_port", 443, "as is asgi_proxy_https_port"),
        ("asgi_proxy_upstream_keepalive", 0, "is 0"),
        ("asgi_proxy_upstream_keepalive_timeout", 0, "is 0"),
        ("asgi_proxy_connect_timeout", 0, "is 0"),
        ("asgi_proxy_read_timeout", -1, "is -1"),
        ("asgi_proxy_send_timeout", 0, "is 0"),
        ("asgi_proxy_websocket_timeout", 0, "is 0"),
        ("asgi_proxy_hsts_max_age", -1, "is -1"),
        ("asgi_proxy_body_size", "10MB", "is '10MB'"),
        ("asgi_proxy_body_size", "10m; x", "is '10m; x'"),
        ("asgi_proxy_headers", {"X Y": "1"}, "not a header name"),
        ("asgi_proxy_headers", {"X-Y": "$host"}, "'$'"),
        ("asgi_proxy_headers", {"X-Y": "a\nb"}, "line end"),
        ("asgi_proxy_headers", {"X-Y": ["a"]}, "holds a list"),
        ("asgi_proxy_headers", {"X-Y": "1", "x-y": "2"}, "more than once"),
        ("asgi_proxy_headers", {"strict-transport-security": "max-age=1"}, "Strict-Transport-Security"),
        ("asgi_proxy_static", [{**STATIC, "url": "/static"}], "has the url '/static'"),
        ("asgi_proxy_static", [{**STATIC, "url": "static/"}], "has the url 'static/'"),
        ("asgi_proxy_static", [{**STATIC, "url": "/"}], "has the url '/'"),
        ("asgi_proxy_static", [{**STATIC, "url": "//"}], "has the url '//'"),
        ("asgi_proxy_static", [{**STATIC, "url": "/a/../b/"}], "has the url '/a/../b/'"),
        ("asgi_proxy_static", [{**STATIC, "url": "/a b/"}], "has the url '/a b/'"),
        ("asgi_proxy_static", [{**STATIC, "url": "/a{}/"}], "has the url '/a{}/'"),
        ("asgi_proxy_static", [{**STATIC, "path": "/etc"}], "has the path '/etc'"),
        ("asgi_proxy_static", [{**STATIC, "path": "../x"}], "has the path '../x'"),
        ("asgi_proxy_static", [{**STATIC, "path": "a/../../x"}], "has the path"),
        ("asgi_proxy_static", [{**STATIC, "path": "."}], "has the path '.'"),
        ("asgi_proxy_static", [{**STATIC, "path": ""}], "has the path ''"),
        ("asgi_proxy_static", [{**STATIC, "path": "a//b"}], "has the path 'a//b'"),
        ("asgi_proxy_static", [{**STATIC, "path": "a;b"}], "has the path 'a;b'"),
        ("asgi_proxy_static", [{**STATIC, "max_age": -1}], "max_age -1"),
        ("asgi_proxy_static", [STATIC, STATIC], "more than once"),
        ("asgi_proxy_static", [{**STATIC, "url": "/static//"}], "has the url '/static//'"),
        ("asgi_proxy_redirect_names", ["https://a.test"], "not a DNS name"),
        ("asgi_proxy_redirect_names", ["a.test", "a.test"], "more than once"),
        ("asgi_proxy_redirect_names", ["hello.test"], "as does asgi_proxy_server_names"),
        ("asgi_proxy_trusted", ["balancer.test"], "neither an address nor a network"),
        ("asgi_proxy_trusted", ["10.0.0.0/255.0.0.0"], "neither an address nor a network"),
        ("asgi_proxy_trusted", ["10.0.0.0/33"], "neither an address nor a network"),
        ("asgi_proxy_trusted", ["0.0.0.0/0"], "which is everybody"),
        ("asgi_proxy_trusted", ["::/0"], "which is everybody"),
        ("asgi_proxy_proxy_protocol", True, "asgi_proxy_trusted is empty"),
        ("asgi_proxy_header_size", "0k", "is '0k'"),
        ("asgi_proxy_header_size", "65k", "is '65k'"),
        ("asgi_proxy_header_size", "8", "is '8'"),
        ("asgi_proxy_client_body_timeout", 0, "is 0"),
        ("asgi_proxy_client_send_timeout", 0, "is 0"),
        ("asgi_proxy_client_keepalive_timeout", 0, "is 0"),
        ("asgi_proxy_maintenance_retry_after", 0, "is 0"),
        ("asgi_proxy_maintenance_allow", ["office"], "neither an address nor a network"),
        ("asgi_proxy_maintenance_page", "/no/such/page.html", "No such file"),
        ("asgi_proxy_hsts_preload", True, "does not take the name"),
        ("asgi_proxy_ocsp_stapling", True, "has no issuer"),
        ("asgi_proxy_health_url", "health", "is 'health'"),
        ("asgi_proxy_health_url", "/a b", "is '/a b'"),
        ("asgi_proxy_health_url", "/", "is '/'"),
        ("asgi_proxy_users", {"a:b": HASH}, "has the name 'a:b'"),
        ("asgi_proxy_users", {"a\nb": HASH}, "has the name"),
        ("asgi_proxy_users", {"alice": "$2b$12$" + "a" * 53}, "no hash which nginx can check fast"),
        ("asgi_proxy_users", {"alice": "$6$rounds=656000$salt$abcd"}, "656000 rounds"),
        ("asgi_proxy_users", {"alice": f"{HASH}\nbob:x"}, "no hash"),
        ("asgi_proxy_locations", [{"url": "a"}], "has the url 'a'"),
        ("asgi_proxy_locations", [{"url": "/a b"}], "has the url '/a b'"),
        ("asgi_proxy_locations", [{"url": "/a//b"}], "has the url '/a//b'"),
        ("asgi_proxy_locations", [{"url": "/../x"}], "has the url '/../x'"),
        ("asgi_proxy_locations", [{"url": "/a;}"}], "has the url '/a;}'"),
        ("asgi_proxy_locations", [{"url": "//"}], "has the url '//'"),
        ("asgi_proxy_locations", [{"url": "/a"}, {"url": "/a", "exact": False}], "more than once"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "5"}], "has for '/a' the rate '5'"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "0r/s"}], "the rate '0r/s'"),
        ("asgi_proxy_locations", [{"url": "/a", "burst": 5}], "a burst and no rate"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "1r/s", "burst": -1}], "the burst -1"),
        ("asgi_proxy_locations", [{"url": "/a", "connections": -1}], "the connections -1"),
        ("asgi_proxy_locations", [{"url": "/a", "read_timeout": 0}], "the read_timeout 0"),
        ("asgi_proxy_locations", [{"url": "/a", "body_size": "1GB"}], "the body_size '1GB'"),
        ("asgi_proxy_locations", [{"url": "/a", "allow": ["all"]}], "neither an address"),
        ("asgi_proxy_locations", [{"url": "/a", "deny": ["10.0.0.0/8; allow all"]}], "neither an address"),
        ("asgi_proxy_locations", [{"url": "/a", "basic_auth": "Staff"}], "nobody could come"),
        ("asgi_proxy_tls_certificate", "a.pem", "'selfsigned', which ignores it"),
        ("asgi_proxy_tls_key_content", "PEM", "'selfsigned', which ignores it"),
        ("asgi_proxy_acme_extra_names", ["b.test"], "'selfsigned', which ignores it"),
    ],
)
def test_refused(option, value, fault):
    found = problems(**{option: value})
    assert [(each.variable, fault in each.fault) for each in found] == [(option, True)]


def test_a_password_is_never_said():
    found = problems(asgi_proxy_users={"alice": "hunter2"})
    assert [each.variable for each in found] == ["asgi_proxy_users"]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("options", "variable", "fault"),
    [
        (
            {"asgi_proxy_redirect_names": ["a.test"], "asgi_proxy_server_names": ["*.b.test", "b.test"]},
            "server_names",
            "'*",
        ),
        (
            {"asgi_proxy_static": [STATIC], "asgi_proxy_locations": [{"url": "/static/x"}]},
            "locations",
            "is below '/static/'",
        ),
        ({"asgi_proxy_static": [STATIC], "asgi_proxy_health_url": "/static/up"}, "health_url", "is below '/static/'"),
        (
            {"asgi_proxy_locations": [{"url": "/up", "exact": True}], "asgi_proxy_health_url": "/up"},
            "health_url",
            "so is one",
        ),
        (
            {"asgi_proxy_trusted": ["::1"], "asgi_proxy_proxy_protocol": True, "asgi_proxy_http3": True},
            "http3",
            "UDP does not have",
        ),
        (
            {"asgi_proxy_hsts_preload": True, "asgi_proxy_hsts_include_subdomains": True, "asgi_proxy_hsts_max_age": 9},
            "hsts_preload",
            "list",
        ),
        # asked by every deployment, through nginx
        (
            {"asgi_proxy_locations": [{"url": "/", "allow": ["10.0.0.1"]}], "asgi_server_probe_path": "/up?a"},
            "locations",
            "has allow",
        ),
        (
            {
                "asgi_proxy_locations": [{"url": "/", "basic_auth": "Staff", "deny": ["::1"]}],
                "asgi_proxy_users": USERS,
                "asgi_server_probe_path": "/up",
            },
            "locations",
            "has basic_auth and deny",
        ),
    ],
)
def test_refused_together(options, variable, fault):
    found = problems(**options)
    assert [(each.variable, fault in each.fault) for each in found] == [(f"asgi_proxy_{variable}", True)]


@pytest.mark.parametrize(
    "options",
    [
        {"asgi_proxy_health_url": "/up"},
        {"asgi_proxy_locations": [{"url": "/admin", "allow": ["10.0.0.1"]}]},
        {"asgi_proxy_locations": [{"url": "/", "allow": ["10.0.0.1"]}, {"url": "/up", "allow": []}]},
    ],
)
def test_a_deployment_can_ask_for_the_health(options):
    closed = [{"url": "/", "basic_auth": None, "allow": ["10.0.0.1"]}]
    assert problems(asgi_server_probe_path="/up", **{"asgi_proxy_locations": closed, **options}) == []


@pytest.mark.parametrize("name", COMBINATIONS["hosts"])
def test_what_nginx_judges_is_what_the_checks_accept(name, pair):
    _seen, directory = pair
    options = {**COMBINATIONS["vars"], **(COMBINATIONS["hosts"][name] or {})}
    assert (
        problems(
            find=lambda path: directory / path, **(FILES if "asgi_proxy_tls_provider" in options else {}), **options
        )
        == []
    )


def test_the_certificate_is_for_the_redirected_names_too(pair):
    seen, directory = pair
    assert provided(directory, **FILES, asgi_proxy_redirect_names=["old.test"]) == []
    assert seen[0][2] == [*GOOD["asgi_proxy_server_names"], "old.test"]


def test_keepalive_is_compared_with_the_servers():
    found = problems(asgi_server_keepalive=2)
    assert [each.variable for each in found] == ["asgi_proxy_upstream_keepalive_timeout"]


@pytest.fixture
def pair(monkeypatch, tmp_path):
    """Files that hold a certificate and a key, for as long as nobody looks inside."""
    seen = []
    monkeypatch.setattr(certificates, "faults", lambda *arguments: seen.append(arguments) or [])
    for name in ("cert", "key"):
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o600)
    return seen, tmp_path


def provided(directory, **options):
    return problems(find=lambda path: directory / path, asgi_proxy_tls_provider="provided", **options)


FILES = {"asgi_proxy_tls_certificate": "cert", "asgi_proxy_tls_key": "key"}


@pytest.mark.parametrize(
    "options",
    [
        FILES,
        {"asgi_proxy_tls_certificate_content": "cert", "asgi_proxy_tls_key_content": "key"},
        {"asgi_proxy_tls_certificate": "cert", "asgi_proxy_tls_key_content": "key"},
    ],
)
def test_provided_in_either_form(pair, options):
    seen, directory = pair
    assert provided(directory, **options) == []
    assert [arguments[:3] for arguments in seen] == [(b"cert", b"key", GOOD["asgi_proxy_server_names"])]


@pytest.mark.parametrize(
    ("options", "variable", "fault"),
    [
        ({"asgi_proxy_tls_certificate": "cert"}, "asgi_proxy_tls_key", "neither is asgi_proxy_tls_key_content"),
        ({"asgi_proxy_tls_key": "key"}, "asgi_proxy_tls_certificate", "neither is"),
        ({**FILES, "asgi_proxy_tls_key_content": "x"}, "asgi_proxy_tls_key", "both set"),
        ({**FILES, "asgi_proxy_tls_certificate": "none"}, "asgi_proxy_tls_certificate", "No such file"),
        ({**FILES, "asgi_proxy_tls_certificate": "."}, "asgi_proxy_tls_certificate", "Is a directory"),
    ],
)
def test_provided_wrongly(pair, options, variable, fault):
    _seen, directory = pair
    found = provided(directory, **options)
    assert [each.variable for each in found] == [variable]
    assert fault in found[0].fault


def test_a_key_that_everybody_can_read(pair):
    _seen, directory = pair
    (directory / "key").chmod(0o604)
    found = provided(directory, **FILES)
    assert [(each.variable, "everybody" in each.fault) for each in found] == [("asgi_proxy_tls_key", True)]


def test_a_key_in_a_vault(pair):
    seen, directory = pair
    (directory / "key").write_text("$ANSIBLE_VAULT;1.1;AES256\n00")
    found = provided(directory, **FILES)
    assert [each.variable for each in found] == ["asgi_proxy_tls_key"]
    assert "asgi_proxy_tls_key_content" in found[0].remedy
    assert seen == []


def test_faults_name_the_variable_that_was_used(pair, monkeypatch):
    _seen, directory = pair
    fault = certificates.Fault("key", "is wrong", "give another")
    monkeypatch.setattr(certificates, "faults", lambda *_arguments: [fault])
    options = {"asgi_proxy_tls_certificate": "cert", "asgi_proxy_tls_key_content": "key"}
    assert provided(directory, **options) == [("asgi_proxy_tls_key_content", "is wrong", "give another")]


ACME = {
    "asgi_proxy_tls_provider": "acme",
    "asgi_proxy_acme_agree_tos": True,
    "asgi_proxy_server_names": ["hello.test"],
}


@pytest.mark.parametrize(
    "options", [{}, {"asgi_proxy_redirect": False}, {"asgi_proxy_acme_extra_names": ["mail.hello.test"]}]
)
def test_acme(options):
    assert problems(**ACME, **options) == []


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("agree_tos", False, "is false"),
        ("extra_names", ["*.hello.test"], "wildcard"),
        ("extra_names", ["https://b.test"], "not a DNS name"),
        ("extra_names", ["b.test", "b.test"], "more than once"),
        ("extra_names", ["hello.test"], "as does asgi_proxy_server_names"),
    ],
)
def test_acme_refused(option, value, fault):
    found = problems(**{**ACME, f"asgi_proxy_acme_{option}": value})
    assert [(each.variable, fault in each.fault) for each in found] == [(f"asgi_proxy_acme_{option}", True)]


@pytest.mark.parametrize(("name", "fault"), [("*.hello.test", "wildcard"), ("b.test", "as does")])
def test_redirected_names_are_in_the_certificate_of_an_acme_server(name, fault):
    found = problems(**ACME, asgi_proxy_redirect_names=[name], asgi_proxy_acme_extra_names=["b.test"])
    assert len(found) == 1
    assert fault in found[0].fault


def test_a_certificate_of_another_provider_is_no_matter_of_acme():
    found = problems(**ACME, asgi_proxy_tls_certificate="a.pem")
    assert [(each.variable, "'acme', which ignores it" in each.fault) for each in found] == [
        ("asgi_proxy_tls_certificate", True)
    ]


@pytest.mark.parametrize(
    ("provider", "expected"), [("acme", ["a", "www", "b"]), ("selfsigned", ["a", "www"]), ("provided", ["a", "www"])]
)
def test_certificate_names(provider, expected):
    options = {
        "asgi_proxy_tls_provider": provider,
        "asgi_proxy_server_names": ["a"],
        "asgi_proxy_redirect_names": ["www"],
        "asgi_proxy_acme_extra_names": ["b"],
    }
    assert asgi_proxy.certificate_names(options) == expected
