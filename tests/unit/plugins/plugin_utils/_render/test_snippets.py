# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directives that a snippet may use, and directives that the role repeats because a snippet would override them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._render import snippets
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.site_plan import site_plan

TEMPLATES = Path(__file__).resolve().parents[5] / "roles/asgi_proxy/templates/etc/nginx/conf.d"
TAKEN = ["/", "= /up", "^~ /static/", "~ ^/a(?:/|$)"]


def faults(text, context="server"):
    return list(snippets.faults(text, context, TAKEN, "asgi_shop"))


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("http", "map $http_user_agent $robot { default 0; ~*bot 1; }"),
        ("http", "server { listen 8081; server_name other.test; location / { return 404; } }"),
        ("http", "limit_req_zone $http_x_key zone=keys:10m rate=5r/s; proxy_cache_path /var/cache/x keys_zone=x:1m;"),
        ("http", "underscores_in_headers on;"),
        ("http", "upstream other { server 10.0.0.5:80; }"),
        ("server", "error_page 404 /static/404.html; error_page 500 502 504 /static/sorry.html;"),
        ("server", "add_header X-A b always; proxy_set_header X-A b; proxy_hide_header X-A;"),
        ("server", "location = /robots.txt { add_header X-A b; return 200 'User-agent: *\\n'; }"),
        ("server", "location /other/ { proxy_pass http://10.0.0.5:80; proxy_set_header Host other.test; }"),
        ("server", "location /static { return 404; }\nlocation ~ ^/static/ { return 404; }"),
        ("server", "access_log /var/log/nginx/second.log; error_log /var/log/nginx/second.error.log;"),
        ("server", "ssl_client_certificate /etc/ca.pem; ssl_verify_client optional;"),
        ("server", "rewrite ^/old/(.*)$ /new/$1 permanent; if ($request_method = TRACE) { return 405; }"),
        ("server", "# error_page 503 /x;\ninclude /etc/nginx/mine.conf;"),
        ("location", "proxy_set_header X-Forwarded-Prefix /app; proxy_buffer_size 64k; proxy_cache x;"),
        ("location", "error_page 404 = /fallback; add_header X-A b; limit_req zone=keys; auth_request /auth;"),
        ("location", "if ($robot) { return 403; }"),
        ("location", "internal; expires 1h; gzip on;"),
    ],
)
def test_valid_snippets_are_accepted(context, text):
    assert faults(text, context) == []


@pytest.mark.parametrize(
    ("context", "text", "fault", "remedy"),
    [
        # a role variable sets the directive
        ("server", "listen 8443 ssl;", "listen", "asgi_proxy_https_port"),
        ("server", "server_name other.test;", "server_name", "asgi_proxy_server_names"),
        ("server", "client_max_body_size 1g;", "client_max_body_size", "asgi_proxy_body_size"),
        ("location", "client_max_body_size 1g;", "client_max_body_size", "body_size"),
        ("location", "proxy_read_timeout 9s;", "proxy_read_timeout", "read_timeout"),
        ("location", "proxy_buffering off;", "proxy_buffering", "buffering"),
        ("location", "access_log off;", "access_log", "log"),
        ("server", "set_real_ip_from 10.0.0.5;", "set_real_ip_from", "asgi_proxy_trusted"),
        ("http", "real_ip_header CF-Connecting-IP;", "real_ip_header", "asgi_proxy_trusted"),
        ("server", "gzip on;", "gzip", "asgi_proxy_compression"),
        # the directive would apply to a smaller scope than expected
        ("server", "allow 10.0.0.0/8; ", "allow", "allow of asgi_proxy_locations"),
        ("server", "deny all;", "deny", "deny of asgi_proxy_locations"),
        ("location", "auth_basic Staff;", "auth_basic", "basic_auth of asgi_proxy_locations"),
        ("server", "limit_req zone=x;", "limit_req", "rate of asgi_proxy_locations"),
        # the directive would have no effect
        ("http", "proxy_set_header X-A b;", "proxy_set_header", "asgi_proxy_snippet_server"),
        ("http", "add_header X-A b;", "add_header", "asgi_proxy_snippet_server"),
        ("http", "error_page 502 /x.html;", "error_page", "asgi_proxy_snippet_server"),
        ("server", "error_page 500 503 /x.html;", "error_page for 503", "asgi_proxy_maintenance_page"),
        ("location", "error_page 418 /x.html;", "error_page for 418", "WebSockets"),
        # nginx would reject a duplicate
        ("location", "proxy_pass http://10.0.0.5;", "proxy_pass", "asgi_proxy_snippet_server"),
        ("server", "location / { return 404; }", "the location /,", "asgi_proxy_locations"),
        ("server", "location = /up { return 404; }", "the location = /up", "asgi_proxy_locations"),
        ("server", "location =/up { return 404; }", "the location =/up", "asgi_proxy_locations"),
        ("server", "location /static/ { return 404; }", "the location /static/", "asgi_proxy_locations"),
        ("server", "server_tokens on;", "server_tokens", "remove it"),
        ("server", "proxy_http_version 1.0;", "proxy_http_version", "asgi_proxy_locations"),
        ("location", "location /a/b { return 404; }", "location", "asgi_proxy_snippet_server"),
        # a client's X-Forwarded-For would reach the app
        (
            "server",
            "location /api/ { proxy_pass http://asgi_shop; proxy_set_header X-A b; }",
            "location /api/, whose proxy_set_header replaces",
            "asgi_proxy_locations",
        ),
        (
            "server",
            "location /a/ { location /a/b/ { proxy_set_header X-A b; proxy_pass http://asgi_shop/x; } }",
            "location /a/b/",
            "asgi_proxy_locations",
        ),
        # connections to the app would be closed after every request
        ("server", 'proxy_set_header Connection "upgrade";', "proxy_set_header Connection", "WebSockets"),
        ("location", "proxy_set_header upgrade $http_upgrade;", "proxy_set_header upgrade", "WebSockets"),
        # invalid configuration, or configuration that leaves its block
        ("http", "map $a $b {", "line 1 is not closed", "correct"),
        ("server", "return 404; } server { listen 80;", "closes a block", "correct"),
        ("location", "return 404", "without ';'", "correct"),
        ("location", "add_header X-A 'b;", "quotation", "correct"),
        ("location", "; return 404;", "where a directive should begin", "correct"),
        ("server", "location /x { return 404 }", "ends a block", "correct"),
    ],
)
def test_invalid_snippets_are_rejected(context, text, fault, remedy):
    ((code, found, how),) = faults(text, context)
    assert code.startswith("snippet-")
    assert fault in found
    assert remedy in how


def test_every_directive_of_the_site_is_rejected_or_repeated():
    """nginx rejects a directive that both the site and a snippet set, or changes its meaning."""
    printed = set()
    for name in (
        *("asgi-00-app.inc", "asgi-00-headers.inc", "asgi-00-server.inc", "site/servers.conf", "tls.conf"),
        *(f"site/{part}.conf" for part in ("certificate", "challenge", "client", "maintenance")),
    ):
        text = (TEMPLATES / f"{name}.j2").read_text().rpartition("\nserver {\n")[2]
        printed |= set(re.findall(r"^    (?!#)([a-z_0-9]+) ", text, re.MULTILINE))
    printed |= set(
        re.findall(
            r"^ *(?:\{\{ indent \}\}|    )([a-z_0-9]+) ", (TEMPLATES / "site/macros.j2").read_text(), re.MULTILINE
        )
    )
    assert len(printed) > 50
    # nginx accepts these directives a second time, or only in a harmless place
    repeatable = {
        *snippets.INHERITED,
        *("access_log", "error_log", "error_page", "if", "location", "set", "return", "include"),
        snippets.LINKS,  # the snippet replaces the site's directive
        *("http2", "listen", "server_name", "ssl_trusted_certificate"),
    }
    decided = {name for name, rule in snippets.REFUSED.items() if "server" in rule.contexts}
    assert printed - decided - repeatable == set()


def planned(snippet="", server=""):
    return site_plan([{"url": "/a", "snippet": snippet}], snippet=server)


def test_locations_without_headers_repeat_nothing():
    location, rest = planned("return 404;", "proxy_set_header X-A b; error_page 404 /x;")["locations"]
    assert (location["repeats"], location["error_pages"]) == ({}, None)
    assert (rest["repeats"], rest["error_pages"]) == ({}, None)


def test_locations_with_headers_repeat_those_of_the_server():
    server = (
        "proxy_set_header X-A server; proxy_set_header x-b server; add_header X-A server; proxy_set_header Host a.test;"
    )
    location = planned("proxy_set_header x-a location;", server)["locations"][0]
    assert location["repeats"] == {
        "proxy_set_header": {
            "skip": ["x-a", "x-b", "host", "x-a"],
            "lines": ["proxy_set_header x-b server;", "proxy_set_header Host a.test;"],
        }
    }


def test_locations_with_error_pages_repeat_those_of_the_server():
    server = "error_page 404 /x;\nerror_page 502\n    504 /y;"
    location = planned("error_page 404 /z;", server)["locations"][0]
    assert location["error_pages"] == ["error_page 404 /x;", "error_page 502\n    504 /y;"]


@pytest.mark.parametrize(
    ("snippet", "checks"),
    [("", True), ("location /media/ { disable_symlinks off; }", True), ("disable_symlinks off;", False)],
)
def test_site_sets_disable_symlinks_unless_the_snippet_does(snippet, checks):
    assert planned("", snippet)["checks_links"] is checks


def test_server_and_static_files_have_the_headers_of_the_snippet():
    found = planned("", "add_header X-Frame-Options DENY always;")
    assert found["server"]["add_header"] == {"skip": ["x-frame-options"], "lines": []}
    assert found["files"]["add_header"] == {
        "skip": ["x-frame-options"],
        "lines": ["add_header X-Frame-Options DENY always;"],
    }


def test_conditions_of_a_server_are_rejected_below_a_path():
    # nginx would execute them for the whole site, but not in the location of a path.
    text = "if ($request_method = TRACE) { return 405; } rewrite ^/a$ /b; auth_request /api/auth;"
    assert faults(text) == []
    found = list(snippets.faults(text, "server", (), "asgi_shop", "/api"))
    assert [(code, fault.split(",")[0]) for code, fault, _remedy in found] == [
        ("snippet-directive-reserved", "contains if"),
        ("snippet-directive-reserved", "contains rewrite"),
    ]
    assert list(snippets.faults("if ($robot) { return 403; }", "location", path="/api")) == []
