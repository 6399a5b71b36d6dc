# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the values of asgi_proxy's variables. _values/options.py checks the types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.acme import acme_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.claims import distinct_ports
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.frontend import (
    address_problems,
    hsts_problems,
    least_problems,
    name_problems,
    port_problems,
    public_port_problems,
    repeated,
    served_name_problems,
    tls_problems,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.keepalive import keepalive_order
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.proxy_path import path_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._render import snippets
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.htpasswd import PASSWORD_HASH, USER
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.nginx import quote, word
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import trusted_faults
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.site_plan import encloses, match, settings_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.addresses import listener, network
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Problem

SIZE = re.compile(r"[0-9]{1,9}[kKmMgG]?")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")
# Escaping lengthens a path. This limit keeps the regular expression of a location within nginx's limit.
LONGEST_PATH = 1000
STATIC_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]*")
HEADER_SIZE = re.compile(r"(?:[1-9]|[1-5][0-9]|6[0-4])[kK]")
RATE = re.compile(r"[1-9][0-9]{0,5}r/[sm]")
QUERY_PARAMETER = re.compile(r"[a-z0-9_]{1,64}")
ROUNDS_LIMIT = 20000

AT_LEAST = {
    "asgi_proxy_upstream_keepalive": 1,
    "asgi_proxy_upstream_keepalive_timeout": 1,
    "asgi_proxy_connect_timeout": 1,
    "asgi_proxy_read_timeout": 1,
    "asgi_proxy_send_timeout": 1,
    "asgi_proxy_websocket_timeout": 1,
    "asgi_proxy_client_body_timeout": 1,
    "asgi_proxy_client_send_timeout": 1,
    "asgi_proxy_client_keepalive_timeout": 1,
    "asgi_proxy_maintenance_retry_after": 1,
    "asgi_proxy_hsts_max_age": 0,
}
LOCATION_AT_LEAST = {"read_timeout": 1, "send_timeout": 1, "burst": 0, "connections": 0}


def problems(context: Context) -> list[Problem]:
    """Return the problems in the role's variables."""
    options = context.options
    return [
        *served_name_problems(options, "asgi_proxy"),
        *_redirect_name_problems(options),
        *path_problems(options),
        *port_problems(options, "asgi_proxy"),
        *public_port_problems(options, "asgi_proxy"),
        *_trust_problems(options),
        *_number_problems(options),
        *keepalive_order(options),
        *distinct_ports(options),
        *_header_problems(options["asgi_proxy_headers"]),
        *hsts_problems(options, "asgi_proxy"),
        *_static_problems(options["asgi_proxy_static"]),
        *_location_problems(options),
        *_probe_problems(options),
        *_user_problems(options),
        *_maintenance_problems(context),
        *_log_problems(options),
        *_snippet_problems(options),
        *_stapling_problems(options),
        *([] if options.get("asgi_proxy_path") is not None else _certificate_problems(context)),
    ]


def _certificate_problems(context: Context) -> Iterator[Problem]:
    yield from tls_problems(context, "asgi_proxy", certificate_names(context.options), datetime.now(UTC))
    yield from _acme_problems(context)


def certificate_names(options: dict[str, Any]) -> list[str]:
    """Return the names that the certificate must cover, the same as the role's variable ``__asgi_proxy_names``."""
    extra = options["asgi_proxy_acme_extra_names"] if options["asgi_proxy_tls_provider"] == "acme" else []
    return [*options["asgi_proxy_server_names"], *options["asgi_proxy_redirect_names"], *extra]


def _redirect_name_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable, names = "asgi_proxy_redirect_names", options["asgi_proxy_redirect_names"]
    yield from name_problems(variable, names)
    served = options["asgi_proxy_server_names"]
    for name in sorted(set(names) & set(served)):
        fault = f"contains {name!r}, which asgi_proxy_server_names contains too"
        yield Problem("server-name-duplicate", variable, fault, "remove it from one of them")
    if names and served and served[0].startswith("*"):
        fault = f"starts with {served[0]!r}, to which asgi_proxy_redirect_names would redirect clients"
        yield Problem("redirect-target-wildcard", "asgi_proxy_server_names", fault)


def _trust_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_trusted"
    yield from address_problems(variable, options[variable])
    for address in options[variable]:
        if network(address) and network(address).prefixlen == 0:
            yield Problem("trusted-everyone", variable, f"contains {address!r}, which is every address")
    yield from _trusted_header_problems(options)
    yield from _balancer_problems(options)
    if not options["asgi_proxy_proxy_protocol"]:
        return
    if not options[variable]:
        fault = "is true, but asgi_proxy_trusted is empty, so no sender is trusted"
        yield Problem("proxy-protocol-untrusted", "asgi_proxy_proxy_protocol", fault)
    if options["asgi_proxy_http3"]:
        fault = "is true, like asgi_proxy_proxy_protocol, which UDP does not support"
        yield Problem("http3-with-proxy-protocol", "asgi_proxy_http3", fault)


def _balancer_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Yield the problems of the options for load balancers that send no name, or plain HTTP."""
    given = [("asgi_proxy_require_sni", "false")] if not options["asgi_proxy_require_sni"] else []
    given += [("asgi_proxy_trusted_http", "true")] if options["asgi_proxy_trusted_http"] else []
    for variable, value in given:
        if not options["asgi_proxy_trusted"]:
            fault = f"is {value}, but asgi_proxy_trusted is empty, so it applies to no client"
            yield Problem("balancer-option-unused", variable, fault)
        if options["asgi_proxy_proxy_protocol"]:
            fault = f"is {value}, but asgi_proxy_proxy_protocol is true"
            remedy = (
                "set only one of them: with the PROXY protocol, each client sends its own TLS handshake and headers"
            )
            yield Problem("balancer-option-unused", variable, fault, remedy)
    if options["asgi_proxy_trusted_http"] and not options["asgi_proxy_redirect"]:
        fault = "is true, but asgi_proxy_redirect is false, so nginx does not listen for plain HTTP"
        yield Problem("trusted-http-without-redirect", "asgi_proxy_trusted_http", fault)


def _trusted_header_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_trusted_headers"
    for code, fault, remedy in trusted_faults(options[variable]):
        yield Problem(code, variable, fault, remedy)
    if not options[variable]:
        return
    if not options["asgi_proxy_trusted"]:
        fault = "is set, but asgi_proxy_trusted is empty, so no proxy can set these headers"
        yield Problem("trusted-header-unused", variable, fault)
    if options["asgi_proxy_proxy_protocol"]:
        fault = "is set, but asgi_proxy_proxy_protocol is true"
        remedy = "set only one of them: a proxy that forwards TCP cannot set headers"
        yield Problem("trusted-header-unused", variable, fault, remedy)


def _number_problems(options: dict[str, Any]) -> Iterator[Problem]:
    yield from least_problems(options, AT_LEAST)
    for variable, pattern, code in (
        ("asgi_proxy_body_size", SIZE, "size-invalid"),
        ("asgi_proxy_header_size", HEADER_SIZE, "header-buffer-invalid"),
    ):
        if not pattern.fullmatch(options[variable]):
            yield Problem(code, variable, f"is {options[variable]!r}")


def _header_problems(headers: dict[Any, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_headers"
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(str(name)) or not _is_word(name):
            yield Problem("header-name-invalid", variable, f"contains {name!r}, which is not a header name")
        if not isinstance(value, (str, int)):
            fault = f"contains a {type(value).__name__} for {name!r}"
            yield Problem("header-value-invalid", variable, fault, "set a string")
            continue
        try:
            quote(value)
        except ValueError as exc:
            fault = f"contains a value for {name!r} that nginx cannot represent: {exc}"
            yield Problem("header-value-invalid", variable, fault)
    lowered = [str(name).lower() for name in headers]
    if "strict-transport-security" in lowered:
        yield Problem("header-reserved", variable, "contains Strict-Transport-Security")
    for name in repeated(lowered):
        fault = f"contains {name!r} more than once, in different case"
        yield Problem("header-duplicate", variable, fault)


def _static_problems(entries: list[dict[str, Any]]) -> Iterator[Problem]:
    variable = "asgi_proxy_static"
    for entry in entries:
        url = entry["url"]
        if not (url.startswith("/") and url.endswith("/") and len(url) > 1):
            remedy = (
                "start and end it with '/' around a name, such as /static/; otherwise nginx would serve files outside of "
                "the directory"
            )
            yield Problem("static-url-invalid", variable, f"contains the url {url!r}", remedy)
        elif not _plain_segments(url[1:-1]):
            yield Problem("static-url-invalid", variable, f"contains the url {url!r}")
        yield from _static_directory_problems(variable, entry)
        if entry.get("internal") and (entry.get("hashed") or entry.get("immutable")):
            fault = f"contains internal with hashed or immutable for {url!r}"
            yield Problem("static-internal-caching", variable, fault)
        if entry.get("max_age", 0) < 0:
            fault = f"contains the max_age {entry['max_age']} for {url!r}"
            yield Problem("number-out-of-range", variable, fault, "use 0 or more")
    for url in repeated(entry["url"] for entry in entries):
        yield Problem("url-duplicate", variable, f"contains the url {url!r} more than once")


def _static_directory_problems(variable: str, entry: dict[str, Any]) -> Iterator[Problem]:
    given = [name for name in ("path", "shared") if entry.get(name) is not None]
    if len(given) != 1:
        fault = (
            f"contains {'both' if given else 'neither'} path {'and' if given else 'nor'} shared for {entry['url']!r}"
        )
        yield Problem("static-directory-ambiguous", variable, fault)
        return
    (name,) = given
    directory, top = entry[name], "the root of the source tree" if name == "path" else "the app's shared directory"
    if directory.startswith("/"):
        fault = f"contains the {name} {directory!r}"
        yield Problem("static-path-invalid", variable, fault, f"make it relative to {top}")
    elif not _plain_segments(directory.rstrip("/")):
        yield Problem("static-path-invalid", variable, f"contains the {name} {directory!r}")
    if name == "shared" and entry.get("follow_symlinks"):
        fault = f"contains follow_symlinks for {entry['url']!r}, where the app could create symlinks"
        yield Problem("static-shared-symlinks", variable, fault)


def _location_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable, locations = "asgi_proxy_locations", options["asgi_proxy_locations"]
    for entry in locations:
        url = entry["url"]
        where = f"for {url!r}"
        yield from _url_problems(variable, url)
        for name, least in LOCATION_AT_LEAST.items():
            if entry.get(name) is not None and entry[name] < least:
                fault = f"contains the {name} {entry[name]} {where}"
                yield Problem("number-out-of-range", variable, fault, f"use {least} or more")
        if entry.get("body_size") is not None and not SIZE.fullmatch(entry["body_size"]):
            yield Problem("size-invalid", variable, f"contains the body_size {entry['body_size']!r} {where}")
        if entry.get("rate") and not RATE.fullmatch(entry["rate"]):
            yield Problem("rate-invalid", variable, f"contains the rate {entry['rate']!r} {where}")
        if entry.get("burst") is not None and not entry.get("rate"):
            yield Problem("burst-without-rate", variable, f"contains a burst without a rate {where}")
        for name in ("allow", "deny"):
            yield from address_problems(variable, entry.get(name) or [], f" in {name} {where}")
        yield from _basic_auth_problems(variable, where, entry, options)
        if entry.get("cors_preflight") and "basic_auth" not in settings_of(url, _set_values(locations)):
            yield Problem("preflight-without-auth", variable, f"contains cors_preflight {where} without basic_auth")
        for static in options["asgi_proxy_static"]:
            if encloses(static, url):
                fault = (
                    f"contains {url!r}, which is below {static['url']!r} of asgi_proxy_static, where nginx serves files"
                )
                yield Problem("location-below-static", variable, fault)
    for url, _exact in repeated((entry["url"], bool(entry.get("exact"))) for entry in locations):
        yield Problem("url-duplicate", variable, f"contains the url {url!r} more than once")


def _basic_auth_problems(
    variable: str, where: str, entry: dict[str, Any], options: dict[str, Any]
) -> Iterator[Problem]:
    realm = entry.get("basic_auth")
    if not realm:
        return
    try:
        quote(realm)
    except ValueError as exc:
        yield Problem(
            "realm-invalid", variable, f"contains a basic_auth realm {where} that nginx cannot represent: {exc}"
        )
    if realm == "off":
        yield Problem(
            "realm-off", variable, f"contains the basic_auth 'off' {where}, which disables authentication in nginx"
        )
    if not options["asgi_proxy_users"]:
        yield Problem(
            "basic-auth-without-users", variable, f"contains a basic_auth {where}, but asgi_proxy_users is empty"
        )


def _url_problems(variable: str, url: str) -> Iterator[Problem]:
    if not url.startswith("/"):
        yield Problem(
            "location-url-invalid", variable, f"contains the url {url!r}", "start it with '/', such as /events"
        )
    elif url != "/" and not _plain_segments(url.removesuffix("/")[1:]):
        yield Problem("location-url-invalid", variable, f"contains the url {url!r}")


def _probe_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Yield the problems that would make the site reject the health probes, which a deploy sends through nginx."""
    health, probe = options.get("asgi_proxy_health_url"), options.get("asgi_server_probe_path")
    if health is not None:
        yield from _health_url_problems(health, options)
    if probe is None or probe == health:
        return
    path = probe.partition("?")[0]
    segments = path.split("/")
    if {".", ".."} & set(segments) or "" in segments[1:-1]:
        fault = f"is {probe!r}, which nginx rejects or normalises"
        yield Problem("probe-path-ambiguous", "asgi_server_probe_path", fault)
    settings = settings_of(path, _set_values(options["asgi_proxy_locations"]))
    closed = [name for name in ("basic_auth", "allow", "deny") if name in settings]
    if closed:
        yield Problem(
            "probe-path-restricted",
            "asgi_proxy_locations",
            f"has {' and '.join(closed)} for asgi_server_probe_path {probe!r}, so a deploy could not probe the app through nginx",
            f"set asgi_proxy_health_url to {probe!r}, which keeps that path open",
        )


def _set_values(locations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *locations* without unset options."""
    return [{name: value for name, value in entry.items() if value is not None} for entry in locations]


def _health_url_problems(health: str, options: dict[str, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_health_url"
    if not _plain_segments(health[1:]) or not health.startswith("/"):
        remedy = "use a path such as /health: letters, digits, and . _ ~ - in each segment, and at most 1000 characters"
        yield Problem("health-url-invalid", variable, f"is {health!r}", remedy)
    for entry in options["asgi_proxy_locations"]:
        if entry.get("exact") and entry["url"] == health:
            fault, remedy = (
                f"is {health!r}, like an entry of asgi_proxy_locations",
                "remove that entry: all clients may use the URL",
            )
            yield Problem("health-url-conflict", variable, fault, remedy)
    for static in options["asgi_proxy_static"]:
        if encloses(static, health):
            fault = f"is {health!r}, which is below {static['url']!r} of asgi_proxy_static"
            yield Problem("health-url-conflict", variable, fault, "use a path of the app")


def _user_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_users"
    for name, hashed in options[variable].items():
        if not USER.fullmatch(str(name)):
            yield Problem("user-name-invalid", variable, f"contains the name {name!r}")
        # The message omits the value, which may be the password itself.
        found = PASSWORD_HASH.fullmatch(str(hashed))
        if not found:
            fault = f"contains a value for {name!r} that is not a hash that nginx can verify quickly"
            yield Problem("password-hash-invalid", variable, fault)
        elif int(found["rounds"] or 0) > ROUNDS_LIMIT:
            yield Problem(
                "password-hash-slow",
                variable,
                f"contains a hash for {name!r} with {found['rounds']} rounds, which nginx would compute for every request",
                f"use a hash with at most {ROUNDS_LIMIT} rounds, such as the output of `openssl passwd -6`",
            )


def _maintenance_problems(context: Context) -> Iterator[Problem]:
    options = context.options
    yield from address_problems("asgi_proxy_maintenance_allow", options["asgi_proxy_maintenance_allow"])
    variable, page = "asgi_proxy_maintenance_page", options.get("asgi_proxy_maintenance_page")
    if page is not None:
        path = context.find(page)
        try:
            path.read_text(encoding="utf-8")
        except OSError as exc:
            yield Problem("file-unreadable", variable, f"is {str(path)!r}: {exc.strerror}")
        except ValueError:
            yield Problem("file-not-utf8", variable, f"is {str(path)!r}, which is not UTF-8")


def _snippet_problems(options: dict[str, Any]) -> Iterator[Problem]:
    taken = [
        "/",
        "= /asgi-maintenance.html",
        f"= {options.get('asgi_proxy_health_url')}",
        *map(match, options["asgi_proxy_locations"]),
        *(f"^~ {static['url']}" for static in options["asgi_proxy_static"]),
    ]
    upstream, path = f"asgi_{options.get('asgi_name')}", options.get("asgi_proxy_path")
    for context in (snippets.HTTP, snippets.SERVER):
        variable = f"asgi_proxy_snippet_{context}"
        for code, fault, remedy in snippets.faults(options.get(variable) or "", context, taken, upstream, path):
            yield Problem(code, variable, fault, remedy)
    for entry in options["asgi_proxy_locations"]:
        for code, fault, remedy in snippets.faults(entry.get("snippet") or "", snippets.LOCATION):
            yield Problem(code, "asgi_proxy_locations", f"has a snippet for {entry['url']!r} that {fault}", remedy)


def _log_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable, names = "asgi_proxy_log_query_parameters", options["asgi_proxy_log_query_parameters"]
    for name in names:
        if not QUERY_PARAMETER.fullmatch(name):
            fault = f"contains {name!r}, for which nginx has no variable"
            yield Problem("query-parameter-invalid", variable, fault)
    for name in repeated(names):
        yield Problem("query-parameter-duplicate", variable, f"contains {name!r} more than once")
    if names and options["asgi_proxy_log_query"]:
        fault = "is set, but asgi_proxy_log_query is true, which logs the whole query"
        yield Problem("log-query-redundant", variable, fault)
    status = options.get("asgi_proxy_status_listen")
    if status is not None and not ((found := listener(status)) and found.address.is_loopback):
        yield Problem("status-listen-invalid", "asgi_proxy_status_listen", f"is {status!r}")


def _stapling_problems(options: dict[str, Any]) -> Iterator[Problem]:
    if options["asgi_proxy_ocsp_stapling"] and options["asgi_proxy_tls_provider"] == "selfsigned":
        fault = "is true, but a self-signed certificate has no issuer"
        yield Problem("stapling-without-issuer", "asgi_proxy_ocsp_stapling", fault)


def _is_word(text: Any) -> bool:
    try:
        word(text)
    except ValueError:
        return False
    return True


def _plain_segments(path: str) -> bool:
    return len(path) <= LONGEST_PATH and all(STATIC_SEGMENT.fullmatch(segment) for segment in path.split("/"))


def _acme_problems(context: Context) -> Iterator[Problem]:
    options = context.options
    variable, provider = "asgi_proxy_acme_extra_names", options["asgi_proxy_tls_provider"]
    extra = options[variable]
    if provider != "acme":
        if extra:
            fault = f"is set, but asgi_proxy_tls_provider is {provider!r}, which does not use it"
            remedy = "set asgi_proxy_tls_provider to 'acme', or remove the variable"
            yield Problem("tls-variable-unused", variable, fault, remedy)
        return

    yield from name_problems(variable, extra)
    clients = ("asgi_proxy_server_names", "asgi_proxy_redirect_names")
    for other in clients:
        for name in sorted(set(extra) & set(options[other])):
            fault = f"contains {name!r}, which {other} contains too"
            yield Problem("server-name-duplicate", variable, fault)
    yield from acme_problems(context, "asgi_proxy", [*clients, variable])
