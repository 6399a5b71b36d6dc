# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate the directives of snippets, and repeat the site's directives that a snippet would otherwise override.

The controller rejects a directive that would have no effect, that would be a duplicate for nginx, or that would silently override
another variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import Directive, parse

HTTP, SERVER, LOCATION = "http", "server", "location"

INHERITED = ("add_header", "proxy_hide_header", "proxy_set_header")
"""A location that uses one of these directives inherits none of that name from its server, so the role repeats the server's."""

REWRITES = ("break", "if", "return", "rewrite", "set")
"""nginx executes these directives of a server, but not those of a location around the location of the request."""

LINKS = "disable_symlinks"
"""The site sets this directive in its server unless the snippet does."""

IN_LOCATION = "put it into the snippet of an entry in asgi_proxy_locations"
IN_SERVER = (
    "put it into asgi_proxy_snippet_server: the site has its own, so it has no effect in asgi_proxy_snippet_http"
)
ACCESS = "set {} of asgi_proxy_locations, which also applies to locations and static files below"
BALANCER = "list the load balancers in asgi_proxy_trusted"
TLS = "set asgi_proxy_tls_provider and the variables that belong to it"
ONE = "remove it: the site sets it, and depends on the value"


class Rule(NamedTuple):
    """The contexts in which a directive is rejected, and the remedy."""

    contexts: tuple[str, ...]
    remedy: str


def _rules(contexts: tuple[str, ...], remedy: str, *names: str) -> dict[str, Rule]:
    return {name: Rule(contexts, remedy) for name in names}


ANYWHERE = (HTTP, SERVER, LOCATION)
OUTSIDE = (HTTP, SERVER)

# By directive. Other directives are accepted wherever nginx accepts them.
REFUSED: dict[str, Rule] = {
    # identity of the site
    **_rules((SERVER, LOCATION), "set asgi_proxy_https_port", "listen"),
    **_rules((SERVER, LOCATION), "list the name in asgi_proxy_server_names", "server_name"),
    **_rules(ANYWHERE, "set asgi_proxy_http3", "http3"),
    **_rules(
        (SERVER,), ONE, "absolute_redirect", "http2", "merge_slashes", "reset_timedout_connection", "server_tokens"
    ),
    **_rules((SERVER, LOCATION), TLS, "ssl_certificate", "ssl_certificate_key"),
    **_rules(
        (SERVER, LOCATION), "set asgi_proxy_tls_profile", "ssl_ciphers", "ssl_prefer_server_ciphers", "ssl_protocols"
    ),
    **_rules((SERVER, LOCATION), ONE, "ssl_session_cache", "ssl_session_tickets", "ssl_session_timeout"),
    **_rules((SERVER, LOCATION), "set asgi_proxy_ocsp_stapling", "ssl_stapling", "ssl_stapling_verify"),
    **_rules(ANYWHERE, BALANCER, "real_ip_header", "real_ip_recursive", "set_real_ip_from"),
    # access
    **_rules(ANYWHERE, ACCESS.format("allow"), "allow"),
    **_rules(ANYWHERE, ACCESS.format("deny"), "deny"),
    **_rules(ANYWHERE, ACCESS.format("basic_auth"), "auth_basic"),
    **_rules(ANYWHERE, "set asgi_proxy_users", "auth_basic_user_file"),
    **_rules(OUTSIDE, ACCESS.format("rate"), "limit_req"),
    **_rules(OUTSIDE, ACCESS.format("connections"), "limit_conn"),
    **_rules(OUTSIDE, ONE, "limit_conn_log_level", "limit_conn_status", "limit_req_log_level", "limit_req_status"),
    # limits for clients
    **_rules(ANYWHERE, "set asgi_proxy_body_size, or body_size of asgi_proxy_locations", "client_max_body_size"),
    **_rules((SERVER, LOCATION), "set asgi_proxy_header_size", "large_client_header_buffers"),
    **_rules((SERVER, LOCATION), ONE, "client_header_timeout"),
    **_rules(OUTSIDE, "set asgi_proxy_client_body_timeout", "client_body_timeout"),
    **_rules(OUTSIDE, "set asgi_proxy_client_send_timeout", "send_timeout"),
    **_rules(OUTSIDE, "set asgi_proxy_client_keepalive_timeout", "keepalive_min_timeout", "keepalive_timeout"),
    # requests to the app and their timeouts
    **_rules(
        (LOCATION,),
        "put the whole location into asgi_proxy_snippet_server: asgi_proxy_locations always passes requests to the app",
        "proxy_pass",
    ),
    **_rules(OUTSIDE, "set asgi_proxy_connect_timeout", "proxy_connect_timeout"),
    **_rules(ANYWHERE, "set asgi_proxy_read_timeout, or read_timeout of asgi_proxy_locations", "proxy_read_timeout"),
    **_rules(ANYWHERE, "set asgi_proxy_send_timeout, or send_timeout of asgi_proxy_locations", "proxy_send_timeout"),
    **_rules(ANYWHERE, "set buffering of asgi_proxy_locations", "proxy_buffering"),
    **_rules(ANYWHERE, "set request_buffering of asgi_proxy_locations", "proxy_request_buffering"),
    **_rules(
        OUTSIDE,
        IN_LOCATION,
        "proxy_buffer_size",
        "proxy_buffers",
        "proxy_busy_buffers_size",
        "proxy_headers_hash_bucket_size",
        "proxy_headers_hash_max_size",
        "proxy_http_version",
        "proxy_next_upstream",
        "proxy_redirect",
    ),
    # responses
    **_rules(OUTSIDE, "set asgi_proxy_compression and asgi_proxy_compress_app", "brotli", "gzip"),
    **_rules(
        (SERVER,),
        IN_LOCATION,
        "brotli_comp_level",
        "brotli_min_length",
        "brotli_types",
        "gzip_comp_level",
        "gzip_min_length",
        "gzip_proxied",
        "gzip_types",
        "gzip_vary",
    ),
    **_rules((HTTP,), IN_SERVER, "access_log", "error_log", "error_page", LINKS, *INHERITED),
    **_rules(
        (LOCATION,), "set log of asgi_proxy_locations to false, or log in asgi_proxy_snippet_server", "access_log"
    ),
    **_rules((LOCATION,), "put it into asgi_proxy_snippet_server: a WebSocket would be refused there", "location"),
}

# Status codes that the site itself uses.
OWN_CODES = {
    "418": "the site uses it for WebSockets",
    "503": "asgi_proxy_maintenance_page is the page of a site in maintenance",
}


def faults(
    text: str, context: str, taken: Iterable[str] = (), upstream: str = "", path: str | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield the code, fault and remedy of each fault of the snippet *text* in *context*.

    *taken* are the site's own locations in the format of :func:`site_plan.match`; *upstream* is the name of the app's upstream, *path*
    its path of another app's site.
    """
    try:
        directives = parse(text)
    except ValueError as exc:
        yield "snippet-invalid", f"is not nginx configuration: {exc}", "correct it"
        return
    for directive in directives:
        rule = REFUSED.get(directive.name)
        if rule and context in rule.contexts:
            yield "snippet-directive-reserved", f"contains {directive.name}", rule.remedy
        elif path is not None and context == SERVER and directive.name in REWRITES:
            fault = (
                f"contains {directive.name}, which has no effect around the locations below asgi_proxy_path {path!r}"
            )
            yield "snippet-directive-reserved", fault, IN_LOCATION
        elif directive.name == "proxy_set_header" and _header(directive) in ("connection", "upgrade"):
            fault = f"contains proxy_set_header {directive.arguments[0]}"
            yield "snippet-directive-reserved", fault, "remove it: WebSockets reach the app without it"
        elif directive.name == "error_page":
            for code in sorted(OWN_CODES.keys() & set(directive.arguments)):
                fault = f"contains error_page for {code}"
                yield "snippet-directive-reserved", fault, f"remove the code: {OWN_CODES[code]}"
        elif directive.name == "location":
            if _place(" ".join(directive.arguments)) in {_place(each) for each in taken}:
                fault = f"contains the location {' '.join(directive.arguments)}, which the site already has"
                yield "snippet-location-duplicate", fault, IN_LOCATION
            yield from _forwarding_faults(directive, upstream)


def _place(match: str) -> tuple[str, str]:
    """Return the key by which nginx detects duplicate locations: ``^~ /a`` and ``/a`` are the same."""
    modifier, pattern = re.fullmatch(r"(=|\^~|~\*?|)\s*(.*)", match, re.DOTALL).groups()
    return modifier.removeprefix("^~"), pattern


def _forwarding_faults(location: Directive, upstream: str) -> Iterator[tuple[str, str, str]]:
    """Yield a fault for each location that would pass the client's own X-Forwarded-For and similar headers to the app."""
    inside = {each.name: each for each in location.block or ()}
    target = inside["proxy_pass"].arguments[0] if "proxy_pass" in inside and inside["proxy_pass"].arguments else ""
    if upstream and target.startswith(f"http://{upstream}") and "proxy_set_header" in inside:
        place = " ".join(location.arguments)
        fault = f"contains the location {place}, whose proxy_set_header replaces those of the site, X-Forwarded-For among them"
        remedy = "list the URL in asgi_proxy_locations, and put proxy_set_header into its snippet"
        yield "snippet-drops-headers", fault, remedy
    for each in location.block or ():
        if each.name == "location":
            yield from _forwarding_faults(each, upstream)


class Repeated(NamedTuple):
    """For one directive name, the headers that a server or location must omit and the directives that it must repeat."""

    skip: list[str]
    """Headers, in lower case, that a snippet sets here."""
    lines: list[str]
    """Directives of the server's snippet that are not inherited here."""


def at_server(snippet: str) -> dict[str, dict[str, list[str]]]:
    """Return the headers of the site that the server's *snippet* replaces, by directive."""
    return {name: Repeated(_headers(snippet, name), [])._asdict() for name in INHERITED}


def below_server(snippet: str, own: str = "") -> dict[str, Mapping[str, list[str]]]:
    """Return the directives of the server's *snippet* that a location must repeat, by name.

    *own* is the location's snippet; it is empty for a location that prints all headers itself.
    """
    found = {}
    for name in INHERITED:
        replaced = _headers(own, name)
        lines = [each.source for each in _named(snippet, name) if _header(each) not in replaced]
        found[name] = Repeated([*_headers(snippet, name), *replaced], lines)._asdict()
    return found


def overridden(own: str) -> list[str]:
    """Return the directives in the location snippet *own* that would override those of the server."""
    names = {each.name for each in parse(own)}
    return [name for name in (*INHERITED, "error_page") if name in names]


def error_pages(snippet: str) -> list[str]:
    """Return the ``error_page`` directives of a server's *snippet*."""
    return [each.source for each in _named(snippet, "error_page")]


def inherited(snippet: str, own: str = "") -> list[str]:
    """Return the directives of the server's *snippet* for a location outside of the one with the snippet, as in a path of another site.

    *own* is the location's snippet. The location prints headers and logs itself.
    """
    others = {"location", "access_log", "error_log", *INHERITED, *(each.name for each in parse(own))}
    return [each.source for each in parse(snippet) if each.name not in others]


def _named(snippet: str, name: str) -> list[Directive]:
    return [each for each in parse(snippet) if each.name == name]


def _headers(snippet: str, name: str) -> list[str]:
    return [_header(each) for each in _named(snippet, name)]


def _header(directive: Directive) -> str:
    return directive.arguments[0].lower() if directive.arguments else ""


def plan(snippet: str, locations: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the lines for the server and its static files, and add to each of *locations* the lines that it must repeat.

    ``checks_links`` is true if the site must set ``disable_symlinks``, because the snippet does not.
    """
    for location in locations:
        own = location.get("snippet") or ""
        names, all_of_them = overridden(own), below_server(snippet, own)
        location["repeats"] = {name: all_of_them[name] for name in names if name in INHERITED}
        location["error_pages"] = error_pages(snippet) if "error_page" in names else None
        location["inherited"] = inherited(snippet, own)
    return {
        "server": at_server(snippet),
        "files": below_server(snippet),
        "checks_links": not _named(snippet, LINKS),
    }
