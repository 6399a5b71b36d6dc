# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No server evaluates a header that the client controls."""

from __future__ import annotations

import inspect
import re

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import (
    CLEARED,
    HOP_BY_HOP,
    NAME,
    PATTERN_LIMIT,
    SET,
    header_patterns,
    request_headers,
    trusted_faults,
    trusted_headers,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import SERVERS


def of_gunicorn():
    config = pytest.importorskip("gunicorn.config")
    forwarder = config.validate_string_to_list(config.ForwarderHeaders.default)
    return {name.lower() for name in (*config.SecureSchemeHeader.default, *forwarder)}


def of_uvicorn():
    middleware = pytest.importorskip("uvicorn.middleware.proxy_headers")
    return {name.decode() for name in map(eval, re.findall(r'b"x-[a-z-]+"', inspect.getsource(middleware)))}


EVALUATED = {
    # gunicorn's master reads no requests, and its workers use uvicorn's protocol.
    "uvicorn_worker": (of_uvicorn,),
    "uvicorn": (of_uvicorn,),
    "gunicorn_asgi": (of_gunicorn,),
    "gthread": (of_gunicorn,),
}


@pytest.mark.parametrize("server", SERVERS)
def test_site_sets_every_header_that_a_server_evaluates(server):
    handled = {name.lower() for name in request_headers()}
    for evaluated in EVALUATED[server]:
        names = evaluated()
        assert len(names) >= 2
        assert names <= handled


def test_both_spellings_are_cleared():
    names = request_headers()
    assert names["X_Forwarded_For"] == names["SCRIPT_NAME".title()] == names["X_Forwarded_Protocol"] == ""
    assert all(names[name] == "" and names[name.replace("-", "_")] == "" for name in CLEARED)
    # The spelling with underscores is cleared even for a header that a proxy may set.
    assert request_headers({"X-Own-User": "$x"})["X_Own_User"] == ""


def test_every_header_is_set_once():
    names = [name.lower() for name in request_headers()]
    assert len(names) == len(set(names))
    assert request_headers()["X-Forwarded-For"] == SET["X-Forwarded-For"] == "$remote_addr"


# Headers that proxies set, collected from the manuals of proxies and from the issue that led to this table.
KNOWN = """
Forwarded Front-End-Https X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Server X-Original-Host X-Original-URL X-Rewrite-URL X-Scheme
CF-Connecting-IP Fastly-Client-IP True-Client-IP X-Client-IP X-Cluster-Client-IP X-ProxyUser-Ip
Remote-User X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-User X-Forwarded-Email X-Forwarded-User X-Remote-User
SSL-Client-Cert SSL-Client-Verify X-Client-Cert X-Forwarded-Client-Cert X-SSL-Client-Cert X-SSL-Client-S-Dn X-SSL-Client-Verify
""".split()


@pytest.mark.parametrize("name", KNOWN)
def test_proxy_headers_of_clients_are_removed(name):
    assert request_headers()[name] == ""


# Headers that clients may send.
@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "Origin", "Referer", "X-HTTP-Method-Override", "X-CSRF-Token", "X-User-Id"]
)
def test_other_headers_of_clients_reach_the_app(name):
    assert name.lower() not in {each.lower() for each in request_headers()}


def test_lists_are_well_formed():
    lowered = [name.lower() for name in CLEARED]
    assert all(NAME.fullmatch(name) for name in (*SET, *CLEARED))
    assert len(set(lowered)) == len(lowered)
    assert not set(lowered) & (HOP_BY_HOP | {name.lower() for name in SET})


def test_trusted_proxies_may_set_headers():
    found = trusted_headers(["x-forwarded-user", "X-Company-User"], "shop")
    assert found == {
        "x-forwarded-user": {"source": "$http_x_forwarded_user", "variable": "$asgi_shop_trusted_1"},
        "X-Company-User": {"source": "$http_x_company_user", "variable": "$asgi_shop_trusted_2"},
    }
    names = request_headers({name: each["variable"] for name, each in found.items()})
    # Each header has one line, regardless of its spelling.
    assert (names["x-forwarded-user"], "X-Forwarded-User" in names) == ("$asgi_shop_trusted_1", False)
    assert (names["X-Company-User"], names["X_Company_User"]) == ("$asgi_shop_trusted_2", "")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["X_Forwarded_User"], "header-name-invalid"),
        (["X-Forwarded-User:"], "header-name-invalid"),
        (["X-A b"], "header-name-invalid"),
        (["X-A; proxy_pass http://evil"], "header-name-invalid"),
        (["X-A\n"], "header-name-invalid"),
        (["X-$host"], "header-name-invalid"),
        ([""], "header-name-invalid"),
        (["host"], "trusted-header-not-allowed"),
        (["Content-Length"], "trusted-header-not-allowed"),
        (["transfer-encoding"], "trusted-header-not-allowed"),
        (["X-Forwarded-For"], "trusted-header-not-allowed"),
        (["x-real-ip"], "trusted-header-not-allowed"),
        (["X-Request-ID"], "trusted-header-not-allowed"),
        (["X-Asgi-Site-Check"], "trusted-header-not-allowed"),
        (["Proxy"], "trusted-header-not-allowed"),
        (["X-Own", "x-own"], "header-duplicate"),
    ],
)
def test_invalid_trusted_headers_are_rejected(names, code):
    assert [found for found, _fault, _remedy in trusted_faults(names)] == [code]


def test_valid_trusted_headers_are_accepted():
    assert list(trusted_faults([*KNOWN, "X-Company-User", "Traceparent"])) == []


def test_balancer_removes_headers_in_every_spelling():
    patterns = header_patterns(["X-Own-User"])
    assert all(len(pattern) < PATTERN_LIMIT + 10 for pattern in patterns)
    for name in (*CLEARED, "X-Own-User"):
        for spelling in (name.lower(), name.lower().replace("-", "_")):
            assert sum(bool(re.search(pattern, spelling)) for pattern in patterns) == 1
