# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import asgi_proxy
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import certificate as certificates
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem

REPOSITORY = Path(__file__).resolve().parents[5]
DEFAULTS = yaml.safe_load((REPOSITORY / "roles/asgi_proxy/defaults/main.yml").read_text())
GOOD = {**DEFAULTS, "asgi_name": "hello", "asgi_proxy_server_names": ["hello.test", "*.hello.test"]}
STATIC = {"url": "/static/", "path": "app/static", "max_age": 60}
HASH = "$6$qPvz0aXBNnRVoLhE$" + "a" * 86
USERS = {"alice": HASH}
COMBINATIONS = yaml.safe_load((REPOSITORY / "molecule/edge/combinations/hosts.yml").read_text())["combinations"]


def problems(find=Path, **options):
    return asgi_proxy.problems(Context(options={**GOOD, **options}, find=find))


def test_defaults_are_valid():
    assert problems() == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("asgi_proxy_server_names", ["localhost"]),
        ("asgi_proxy_server_names", ["xn--bcher-kva.example", "1.example"]),
        ("asgi_proxy_log_query", True),
        ("asgi_proxy_log_query_parameters", ["page", "utm_source", "2"]),
        ("asgi_proxy_snippet_server", "error_page 404 /static/404.html;"),
        ("asgi_proxy_status_listen", "127.0.0.1:8090"),
        ("asgi_proxy_status_listen", "[::1]:8090"),
        ("asgi_proxy_body_size", "0"),
        ("asgi_proxy_body_size", "1G"),
        ("asgi_proxy_hsts_max_age", 0),
        ("asgi_proxy_headers", {"Content-Security-Policy": "default-src 'self'; img-src *"}),
        ("asgi_proxy_static", [STATIC, {"url": "/a/b/", "path": "x/"}]),
        ("asgi_proxy_static", [{"url": "/m/", "shared": "media/"}, {"url": "/p/", "shared": "a/b", "internal": True}]),
        ("asgi_proxy_redirect_names", ["www.hello.org", "*.old.test"]),
        ("asgi_proxy_trusted", ["10.0.0.5", "10.1.2.3/24", "2001:db8::/32", "::1"]),
        ("asgi_proxy_public_ports", [443, 1, 65535]),
        ("asgi_proxy_header_size", "64k"),
        ("asgi_proxy_users", {"alice": HASH, "bob.b@x": "$apr1$salt$abcd", "carol": "$6$rounds=10000$salt$abcd"}),
        ("asgi_proxy_locations", [{"url": "/"}, {"url": "/", "exact": True}, {"url": "/a"}, {"url": "/a/"}]),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "5r/s", "burst": 0, "connections": 0, "body_size": "0"}]),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "", "allow": [], "basic_auth": ""}]),
    ],
)
def test_valid_values_are_accepted(option, value):
    assert problems(**{option: value}) == []


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("asgi_proxy_server_names", [], "server-names-empty"),
        ("asgi_proxy_public_ports", [0], "port-out-of-range"),
        ("asgi_proxy_public_ports", [443, 65536], "port-out-of-range"),
        ("asgi_proxy_trusted_headers", ["X-Forwarded-User"], "trusted-header-unused"),
        ("asgi_proxy_log_query_parameters", ["my-page"], "query-parameter-invalid"),
        ("asgi_proxy_log_query_parameters", ["Page"], "query-parameter-invalid"),
        ("asgi_proxy_log_query_parameters", ["a[b]"], "query-parameter-invalid"),
        ("asgi_proxy_log_query_parameters", ['a"}'], "query-parameter-invalid"),
        ("asgi_proxy_log_query_parameters", [""], "query-parameter-invalid"),
        ("asgi_proxy_log_query_parameters", ["a\n"], "query-parameter-invalid"),
        ("asgi_proxy_log_query_parameters", ["page", "page"], "query-parameter-duplicate"),
        ("asgi_proxy_snippet_http", "add_header X-A b;", "snippet-directive-reserved"),
        ("asgi_proxy_snippet_server", "listen 80;", "snippet-directive-reserved"),
        ("asgi_proxy_snippet_server", "location / { return 404; }", "snippet-location-duplicate"),
        ("asgi_proxy_snippet_server", "return 404", "snippet-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "snippet": "allow all;"}], "snippet-directive-reserved"),
        ("asgi_proxy_status_listen", "0.0.0.0:8090", "status-listen-invalid"),
        ("asgi_proxy_status_listen", "8090", "status-listen-invalid"),
        ("asgi_proxy_trusted", ["fe80::1%a;\n    include /x"], "address-invalid"),
        ("asgi_proxy_trusted", ["fe80::1%eth0"], "address-invalid"),
        ("asgi_proxy_maintenance_allow", ["fe80::1%a 1;\n"], "address-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "deny": ["fe80::1%a"]}], "address-invalid"),
        ("asgi_proxy_locations", [{"url": "/" + "a" * 1001}], "location-url-invalid"),
        ("asgi_proxy_static", [{"url": "/a/", "path": "a" * 1001}], "static-path-invalid"),
        ("asgi_proxy_headers", {"'X": "a"}, "header-name-invalid"),
        ("asgi_proxy_headers", {"#X": "a"}, "header-name-invalid"),
        ("asgi_proxy_headers", {"X": "a" * 4001}, "header-value-invalid"),
        ("asgi_proxy_body_size", "\uff11m", "size-invalid"),
        ("asgi_proxy_header_size", "1\u0662k", "header-buffer-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "1\u0662r/s"}], "rate-invalid"),
        ("asgi_proxy_status_listen", "127.0.0.1:\uff18\uff10", "status-listen-invalid"),
        ("asgi_proxy_status_listen", "127.0.0.1:65536", "status-listen-invalid"),
        ("asgi_proxy_status_listen", "127.0.0.256:8090", "status-listen-invalid"),
        ("asgi_proxy_server_names", ["https://a.test"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["a.test:443"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["A.test"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["a.test."], "server-name-invalid"),
        ("asgi_proxy_server_names", ["-a.test"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["*"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["a.*.test"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["~^a"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["a.test; include /x"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["a.test\n"], "server-name-invalid"),
        ("asgi_proxy_server_names", ["a" * 64 + ".test"], "server-name-invalid"),
        ("asgi_proxy_server_names", [".".join(["a" * 60] * 5)], "server-name-invalid"),
        ("asgi_proxy_server_names", ["10.0.0.1"], "server-name-is-address"),
        ("asgi_proxy_server_names", ["a.test", "a.test"], "server-name-duplicate"),
        ("asgi_proxy_http_port", 0, "port-out-of-range"),
        ("asgi_proxy_https_port", 65536, "port-out-of-range"),
        ("asgi_proxy_http_port", 443, "port-duplicate"),
        ("asgi_proxy_upstream_keepalive", 0, "number-out-of-range"),
        ("asgi_proxy_upstream_keepalive_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_connect_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_read_timeout", -1, "number-out-of-range"),
        ("asgi_proxy_send_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_websocket_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_hsts_max_age", -1, "number-out-of-range"),
        ("asgi_proxy_body_size", "10MB", "size-invalid"),
        ("asgi_proxy_body_size", "10m; x", "size-invalid"),
        ("asgi_proxy_headers", {"X Y": "1"}, "header-name-invalid"),
        ("asgi_proxy_headers", {"X-Y": "$host"}, "header-value-invalid"),
        ("asgi_proxy_headers", {"X-Y": "a\nb"}, "header-value-invalid"),
        ("asgi_proxy_headers", {"X-Y": ["a"]}, "header-value-invalid"),
        ("asgi_proxy_headers", {"X-Y": "1", "x-y": "2"}, "header-duplicate"),
        ("asgi_proxy_headers", {"strict-transport-security": "max-age=1"}, "header-reserved"),
        ("asgi_proxy_require_sni", False, "balancer-option-unused"),
        ("asgi_proxy_trusted_http", True, "balancer-option-unused"),
        ("asgi_proxy_static", [{**STATIC, "url": "/static"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "url": "static/"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "url": "/"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "url": "//"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "url": "/a/../b/"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "url": "/a b/"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "url": "/a{}/"}], "static-url-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": "/etc"}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": "../x"}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": "a/../../x"}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": "."}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": ""}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": "a//b"}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "path": "a;b"}], "static-path-invalid"),
        ("asgi_proxy_static", [{**STATIC, "max_age": -1}], "number-out-of-range"),
        ("asgi_proxy_locations", [{"url": "/a", "cors_preflight": True}], "preflight-without-auth"),
        ("asgi_proxy_reserved_paths", ["/api/"], "proxy-path-invalid"),
        ("asgi_proxy_reserved_paths", ["/api", "/api"], "url-duplicate"),
        ("asgi_proxy_static", [STATIC, STATIC], "url-duplicate"),
        ("asgi_proxy_static", [{"url": "/m/"}], "static-directory-ambiguous"),
        ("asgi_proxy_static", [{**STATIC, "shared": "media"}], "static-directory-ambiguous"),
        ("asgi_proxy_static", [{"url": "/m/", "shared": "/srv/shop/shared/media"}], "static-path-invalid"),
        ("asgi_proxy_static", [{"url": "/m/", "shared": "../releases"}], "static-path-invalid"),
        ("asgi_proxy_static", [{"url": "/m/", "shared": "."}], "static-path-invalid"),
        ("asgi_proxy_static", [{"url": "/m/", "shared": ""}], "static-path-invalid"),
        ("asgi_proxy_static", [{"url": "/m/", "shared": "m", "follow_symlinks": True}], "static-shared-symlinks"),
        (
            "asgi_proxy_static",
            [{"url": "/m/", "shared": "m", "internal": True, "hashed": True}],
            "static-internal-caching",
        ),
        ("asgi_proxy_static", [{**STATIC, "url": "/static//"}], "static-url-invalid"),
        ("asgi_proxy_redirect_names", ["https://a.test"], "server-name-invalid"),
        ("asgi_proxy_redirect_names", ["a.test", "a.test"], "server-name-duplicate"),
        ("asgi_proxy_redirect_names", ["hello.test"], "server-name-duplicate"),
        ("asgi_proxy_trusted", ["balancer.test"], "address-invalid"),
        ("asgi_proxy_trusted", ["10.0.0.0/255.0.0.0"], "address-invalid"),
        ("asgi_proxy_trusted", ["10.0.0.0/33"], "address-invalid"),
        ("asgi_proxy_trusted", ["0.0.0.0/0"], "trusted-everyone"),
        ("asgi_proxy_trusted", ["::/0"], "trusted-everyone"),
        ("asgi_proxy_proxy_protocol", True, "proxy-protocol-untrusted"),
        ("asgi_proxy_header_size", "0k", "header-buffer-invalid"),
        ("asgi_proxy_header_size", "65k", "header-buffer-invalid"),
        ("asgi_proxy_header_size", "8", "header-buffer-invalid"),
        ("asgi_proxy_client_body_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_client_send_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_client_keepalive_timeout", 0, "number-out-of-range"),
        ("asgi_proxy_maintenance_retry_after", 0, "number-out-of-range"),
        ("asgi_proxy_maintenance_allow", ["office"], "address-invalid"),
        ("asgi_proxy_maintenance_page", "/no/such/page.html", "file-unreadable"),
        ("asgi_proxy_hsts_preload", True, "hsts-preload-incomplete"),
        ("asgi_proxy_ocsp_stapling", True, "stapling-without-issuer"),
        ("asgi_proxy_health_url", "health", "health-url-invalid"),
        ("asgi_proxy_health_url", "/a b", "health-url-invalid"),
        ("asgi_proxy_health_url", "/", "health-url-invalid"),
        ("asgi_proxy_users", {"a:b": HASH}, "user-name-invalid"),
        ("asgi_proxy_users", {"a\nb": HASH}, "user-name-invalid"),
        ("asgi_proxy_users", {"alice": "$2b$12$" + "a" * 53}, "password-hash-invalid"),
        ("asgi_proxy_users", {"alice": "$6$rounds=656000$salt$abcd"}, "password-hash-slow"),
        ("asgi_proxy_users", {"alice": f"{HASH}\nbob:x"}, "password-hash-invalid"),
        ("asgi_proxy_locations", [{"url": "a"}], "location-url-invalid"),
        ("asgi_proxy_locations", [{"url": "/a b"}], "location-url-invalid"),
        ("asgi_proxy_locations", [{"url": "/a//b"}], "location-url-invalid"),
        ("asgi_proxy_locations", [{"url": "/../x"}], "location-url-invalid"),
        ("asgi_proxy_locations", [{"url": "/a;}"}], "location-url-invalid"),
        ("asgi_proxy_locations", [{"url": "//"}], "location-url-invalid"),
        ("asgi_proxy_locations", [{"url": "/a"}, {"url": "/a", "exact": False}], "url-duplicate"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "5"}], "rate-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "0r/s"}], "rate-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "burst": 5}], "burst-without-rate"),
        ("asgi_proxy_locations", [{"url": "/a", "rate": "1r/s", "burst": -1}], "number-out-of-range"),
        ("asgi_proxy_locations", [{"url": "/a", "connections": -1}], "number-out-of-range"),
        ("asgi_proxy_locations", [{"url": "/a", "read_timeout": 0}], "number-out-of-range"),
        ("asgi_proxy_locations", [{"url": "/a", "body_size": "1GB"}], "size-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "allow": ["all"]}], "address-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "deny": ["10.0.0.0/8; allow all"]}], "address-invalid"),
        ("asgi_proxy_locations", [{"url": "/a", "basic_auth": "Staff"}], "basic-auth-without-users"),
        ("asgi_proxy_tls_certificate", "a.pem", "tls-variable-unused"),
        ("asgi_proxy_tls_key_content", "PEM", "tls-variable-unused"),
        ("asgi_proxy_acme_extra_names", ["b.test"], "tls-variable-unused"),
    ],
)
def test_invalid_values_are_rejected(option, value, code):
    found = problems(**{option: value})
    assert [(each.variable, each.code) for each in found] == [(option, code)]


def test_messages_contain_no_password():
    found = problems(asgi_proxy_users={"alice": "hunter2"})
    assert [each.variable for each in found] == ["asgi_proxy_users"]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("options", "variable", "code"),
    [
        (
            {"asgi_proxy_redirect_names": ["a.test"], "asgi_proxy_server_names": ["*.b.test", "b.test"]},
            "server_names",
            "redirect-target-wildcard",
        ),
        (
            {"asgi_proxy_static": [STATIC], "asgi_proxy_locations": [{"url": "/static/x"}]},
            "locations",
            "location-below-static",
        ),
        (
            {"asgi_proxy_trusted": ["10.0.0.5"], "asgi_proxy_proxy_protocol": True, "asgi_proxy_require_sni": False},
            "require_sni",
            "balancer-option-unused",
        ),
        (
            {"asgi_proxy_trusted": ["10.0.0.5"], "asgi_proxy_proxy_protocol": True, "asgi_proxy_trusted_http": True},
            "trusted_http",
            "balancer-option-unused",
        ),
        (
            {"asgi_proxy_trusted": ["10.0.0.5"], "asgi_proxy_redirect": False, "asgi_proxy_trusted_http": True},
            "trusted_http",
            "trusted-http-without-redirect",
        ),
        ({"asgi_proxy_path": "/a"}, "server_names", "proxy-path-names"),
        *(
            ({"asgi_proxy_path": path, "asgi_proxy_server_names": ["a.test"]}, "path", "proxy-path-invalid")
            for path in ("/", "api", "/api/", "/a/../b", "/a;b", "//a", "/" + "a" * 200)
        ),
        (
            {"asgi_proxy_path": "/a", "asgi_proxy_server_names": ["a.test"], "asgi_proxy_redirect_names": ["b.test"]},
            "redirect_names",
            "proxy-path-owner",
        ),
        (
            {
                "asgi_proxy_path": "/a",
                "asgi_proxy_server_names": ["a.test"],
                "asgi_proxy_strip_path": False,
                "asgi_proxy_static": [STATIC],
            },
            "static",
            "proxy-path-outside",
        ),
        ({"asgi_proxy_static": [STATIC], "asgi_proxy_health_url": "/static/up"}, "health_url", "health-url-conflict"),
        (
            {"asgi_proxy_locations": [{"url": "/up", "exact": True}], "asgi_proxy_health_url": "/up"},
            "health_url",
            "health-url-conflict",
        ),
        (
            {"asgi_proxy_trusted": ["::1"], "asgi_proxy_trusted_headers": ["X-Own", "X_Own"]},
            "trusted_headers",
            "header-name-invalid",
        ),
        (
            {"asgi_proxy_trusted": ["::1"], "asgi_proxy_proxy_protocol": True, "asgi_proxy_trusted_headers": ["X-Own"]},
            "trusted_headers",
            "trusted-header-unused",
        ),
        (
            {"asgi_proxy_trusted": ["::1"], "asgi_proxy_proxy_protocol": True, "asgi_proxy_http3": True},
            "http3",
            "http3-with-proxy-protocol",
        ),
        (
            {"asgi_proxy_hsts_preload": True, "asgi_proxy_hsts_include_subdomains": True, "asgi_proxy_hsts_max_age": 9},
            "hsts_preload",
            "hsts-preload-incomplete",
        ),
        (
            {"asgi_proxy_log_query": True, "asgi_proxy_log_query_parameters": ["page"]},
            "log_query_parameters",
            "log-query-redundant",
        ),
        (
            {"asgi_proxy_health_url": "/up", "asgi_proxy_snippet_server": "location = /up { return 204; }"},
            "snippet_server",
            "snippet-location-duplicate",
        ),
        (
            {"asgi_proxy_static": [STATIC], "asgi_proxy_snippet_server": "location /static/ { return 204; }"},
            "snippet_server",
            "snippet-location-duplicate",
        ),
        (
            {"asgi_proxy_snippet_server": "location /x { proxy_set_header A b; proxy_pass http://asgi_hello; }"},
            "snippet_server",
            "snippet-drops-headers",
        ),
        # A deploy probes this path through nginx.
        (
            {"asgi_proxy_locations": [{"url": "/", "allow": ["10.0.0.1"]}], "asgi_server_probe_path": "/up?a"},
            "locations",
            "probe-path-restricted",
        ),
        (
            {
                "asgi_proxy_locations": [{"url": "/", "basic_auth": "Staff", "deny": ["::1"]}],
                "asgi_proxy_users": USERS,
                "asgi_server_probe_path": "/up",
            },
            "locations",
            "probe-path-restricted",
        ),
    ],
)
def test_contradictory_values_are_rejected(options, variable, code):
    found = problems(**options)
    assert [(each.variable, each.code) for each in found] == [(f"asgi_proxy_{variable}", code)]


@pytest.mark.parametrize(
    ("probe", "ambiguous"),
    [
        ("/a/../up", True),
        ("/./up", True),
        ("//up", True),
        ("/up?x=/../", False),
        ("/up/", False),
        ("/a..b/.well-known", False),
    ],
)
def test_probe_path_is_one_that_nginx_passes_unchanged(probe, ambiguous):
    found = problems(asgi_server_probe_path=probe)
    assert [(each.variable, each.code) for each in found] == [
        ("asgi_server_probe_path", "probe-path-ambiguous")
    ] * ambiguous


@pytest.mark.parametrize(
    "options",
    [
        {"asgi_proxy_health_url": "/up"},
        {"asgi_proxy_locations": [{"url": "/admin", "allow": ["10.0.0.1"]}]},
        {"asgi_proxy_locations": [{"url": "/", "allow": ["10.0.0.1"]}, {"url": "/up", "allow": []}]},
    ],
)
def test_open_probe_path_is_accepted(options):
    closed = [{"url": "/", "basic_auth": None, "allow": ["10.0.0.1"]}]
    assert problems(asgi_server_probe_path="/up", **{"asgi_proxy_locations": closed, **options}) == []


@pytest.mark.parametrize("name", COMBINATIONS["hosts"])
def test_combinations_of_the_molecule_scenario_are_valid(name, pair):
    _seen, directory = pair
    options = {**COMBINATIONS["vars"], **(COMBINATIONS["hosts"][name] or {})}
    assert (
        problems(
            find=lambda path: directory / path, **(FILES if "asgi_proxy_tls_provider" in options else {}), **options
        )
        == []
    )


def test_certificate_must_cover_redirect_names(pair):
    seen, directory = pair
    assert provided(directory, **FILES, asgi_proxy_redirect_names=["old.test"]) == []
    assert seen[0][2] == [*GOOD["asgi_proxy_server_names"], "old.test"]


def test_keepalive_is_compared_with_the_application_server():
    assert [each.code for each in problems(asgi_server_keepalive=2)] == ["keepalive-order"]


@pytest.fixture
def pair(monkeypatch, tmp_path):
    """Replace the certificate check; return its recorded arguments, and the directory with a certificate and a key."""
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
def test_certificate_is_given_as_file_or_text(pair, options):
    seen, directory = pair
    assert provided(directory, **options) == []
    assert [arguments[:3] for arguments in seen] == [(b"cert", b"key", GOOD["asgi_proxy_server_names"])]


@pytest.mark.parametrize(
    ("options", "variable", "code"),
    [
        ({"asgi_proxy_tls_certificate": "cert"}, "asgi_proxy_tls_key", "tls-file-missing"),
        ({"asgi_proxy_tls_key": "key"}, "asgi_proxy_tls_certificate", "tls-file-missing"),
        ({**FILES, "asgi_proxy_tls_key_content": "x"}, "asgi_proxy_tls_key", "tls-file-ambiguous"),
        ({**FILES, "asgi_proxy_tls_certificate": "none"}, "asgi_proxy_tls_certificate", "file-unreadable"),
        ({**FILES, "asgi_proxy_tls_certificate": "."}, "asgi_proxy_tls_certificate", "file-unreadable"),
    ],
)
def test_certificate_files_that_cannot_be_used_are_rejected(pair, options, variable, code):
    _seen, directory = pair
    found = provided(directory, **options)
    assert [(each.variable, each.code) for each in found] == [(variable, code)]


@pytest.mark.parametrize(
    ("mode", "text", "code"),
    [(0o604, "key", "key-file-world-readable"), (0o600, "$ANSIBLE_VAULT;1.1;AES256\n00", "file-encrypted")],
)
def test_key_files_that_cannot_be_used_are_rejected(pair, mode, text, code):
    seen, directory = pair
    (directory / "key").write_text(text)
    (directory / "key").chmod(mode)
    found = provided(directory, **FILES)
    assert [(each.variable, each.code) for each in found] == [("asgi_proxy_tls_key", code)]
    assert len(seen) == (code != "file-encrypted")


def test_certificate_problems_name_the_variable_in_use(pair, monkeypatch):
    _seen, directory = pair
    fault = certificates.Fault("key-mismatch", "key", "is wrong", "use another")
    monkeypatch.setattr(certificates, "faults", lambda *_arguments: [fault])
    options = {"asgi_proxy_tls_certificate": "cert", "asgi_proxy_tls_key_content": "key"}
    expected = Problem("key-mismatch", "asgi_proxy_tls_key_content", "is wrong", "use another")
    assert provided(directory, **options) == [expected]


ACME = {
    "asgi_proxy_tls_provider": "acme",
    "asgi_proxy_acme_agree_tos": True,
    "asgi_proxy_server_names": ["hello.test"],
}


@pytest.mark.parametrize(
    "options", [{}, {"asgi_proxy_redirect": False}, {"asgi_proxy_acme_extra_names": ["mail.hello.test"]}]
)
def test_valid_acme_variables_are_accepted(options):
    assert problems(**ACME, **options) == []


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("agree_tos", False, "acme-terms-not-accepted"),
        ("extra_names", ["*.hello.test"], "acme-wildcard"),
        ("extra_names", ["https://b.test"], "server-name-invalid"),
        ("extra_names", ["b.test", "b.test"], "server-name-duplicate"),
        ("extra_names", ["hello.test"], "server-name-duplicate"),
    ],
)
def test_invalid_acme_variables_are_rejected(option, value, code):
    found = problems(**{**ACME, f"asgi_proxy_acme_{option}": value})
    assert [(each.variable, each.code) for each in found] == [(f"asgi_proxy_acme_{option}", code)]


@pytest.mark.parametrize(("name", "code"), [("*.hello.test", "acme-wildcard"), ("b.test", "server-name-duplicate")])
def test_acme_certificate_covers_redirect_names(name, code):
    found = problems(**ACME, asgi_proxy_redirect_names=[name], asgi_proxy_acme_extra_names=["b.test"])
    assert [each.code for each in found] == [code]


def test_acme_rejects_a_provided_certificate():
    found = problems(**ACME, asgi_proxy_tls_certificate="a.pem")
    assert [(each.variable, each.code) for each in found] == [("asgi_proxy_tls_certificate", "tls-variable-unused")]


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


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"asgi_proxy_locations": [{"url": "/a", "exact": True}]}, [("asgi_proxy_locations", "proxy-path-outside")]),
        ({"asgi_proxy_health_url": "/a"}, [("asgi_proxy_health_url", "proxy-path-outside")]),
        ({"asgi_proxy_locations": [{"url": "/a"}, {"url": "/a/", "exact": True}]}, []),
        ({"asgi_proxy_health_url": "/a/up"}, []),
    ],
)
def test_a_path_that_stays_in_requests_has_one_location(given, found):
    place = {"asgi_proxy_path": "/a", "asgi_proxy_server_names": ["a.test"], "asgi_proxy_strip_path": False}
    probe = {"asgi_server_probe_path": given.get("asgi_proxy_health_url", "/a/up")}
    assert [(each.variable, each.code) for each in problems(**place, **probe, **given)] == found
