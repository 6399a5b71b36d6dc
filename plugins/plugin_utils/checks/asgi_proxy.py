# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an argument specification cannot say about the variables of asgi_proxy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils import log_redaction
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.acme import acme_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.edge import (
    address_problems,
    hsts_problems,
    least_problems,
    name_problems,
    network,
    port_problems,
    repeated,
    served_name_problems,
    tls_problems,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.keepalive import keepalive_order
from ansible_collections.asgi.deploy.plugins.plugin_utils.nginx import quote
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context, Problem
from ansible_collections.asgi.deploy.plugins.plugin_utils.site_plan import encloses, settings_of

SIZE = re.compile(r"\d{1,9}[kKmMgG]?")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")
STATIC_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]*")
HEADER_SIZE = re.compile(r"(?:[1-9]|[1-5]\d|6[0-4])[kK]")
LOOPBACK_PORT = re.compile(r"(?:127(?:\.\d{1,3}){3}|\[::1\]):[1-9]\d{0,4}")
RATE = re.compile(r"[1-9]\d{0,5}r/[sm]")
USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
# what openssl passwd makes; a number of rounds may be said, of as many digits as crypt(5) has
PASSWORD_HASH = re.compile(
    r"\$(?:[56]\$(?:rounds=(?P<rounds>\d{1,9})\$)?|apr1\$)[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{4,86}"
)
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
    """Return every objection to the options of asgi_proxy."""
    options = context.options
    return [
        *served_name_problems(options, "asgi_proxy"),
        *_redirect_name_problems(options),
        *port_problems(options, "asgi_proxy"),
        *_balancer_problems(options),
        *_number_problems(options),
        *keepalive_order(options),
        *_header_problems(options["asgi_proxy_headers"]),
        *hsts_problems(options, "asgi_proxy"),
        *_static_problems(options["asgi_proxy_static"]),
        *_location_problems(options),
        *_probe_problems(options),
        *_user_problems(options),
        *_maintenance_problems(context),
        *_log_problems(options),
        *_stapling_problems(options),
        *tls_problems(context, "asgi_proxy", certificate_names(options), datetime.now(UTC)),
        *_acme_problems(context),
    ]


def certificate_names(options: dict[str, Any]) -> list[str]:
    """Return the names that the certificate must cover, as ``__asgi_proxy_names`` of the role does."""
    extra = options["asgi_proxy_acme_extra_names"] if options["asgi_proxy_tls_provider"] == "acme" else []
    return [*options["asgi_proxy_server_names"], *options["asgi_proxy_redirect_names"], *extra]


def _redirect_name_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable, names = "asgi_proxy_redirect_names", options["asgi_proxy_redirect_names"]
    yield from name_problems(variable, names)
    served = options["asgi_proxy_server_names"]
    for name in sorted(set(names) & set(served)):
        yield Problem(variable, f"holds {name!r}, as does asgi_proxy_server_names", "list it in one of them")
    if names and served and served[0].startswith("*"):
        yield Problem(
            "asgi_proxy_server_names",
            f"starts with {served[0]!r}, and asgi_proxy_redirect_names needs a name to lead to",
            "put a name without '*' first",
        )


def _balancer_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_trusted"
    yield from address_problems(variable, options[variable])
    for address in options[variable]:
        if network(address) and network(address).prefixlen == 0:
            yield Problem(variable, f"holds {address!r}, which is everybody", "list the addresses of the balancers")
    if not options["asgi_proxy_proxy_protocol"]:
        return
    if not options[variable]:
        yield Problem(
            "asgi_proxy_proxy_protocol",
            "is true, and asgi_proxy_trusted is empty, so nobody would be believed",
            "list the addresses of the balancers in asgi_proxy_trusted",
        )
    if options["asgi_proxy_http3"]:
        yield Problem(
            "asgi_proxy_http3",
            "is true, as is asgi_proxy_proxy_protocol, which UDP does not have",
            "set one of them to false",
        )


def _number_problems(options: dict[str, Any]) -> Iterator[Problem]:
    yield from least_problems(options, AT_LEAST)
    if not SIZE.fullmatch(options["asgi_proxy_body_size"]):
        yield Problem(
            "asgi_proxy_body_size",
            f"is {options['asgi_proxy_body_size']!r}",
            "write a number and k, m or g, such as 10m; 0 is no limit",
        )
    if not HEADER_SIZE.fullmatch(options["asgi_proxy_header_size"]):
        yield Problem(
            "asgi_proxy_header_size",
            f"is {options['asgi_proxy_header_size']!r}",
            "write 1k to 64k, such as 16k",
        )


def _header_problems(headers: dict[Any, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_headers"
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(str(name)):
            yield Problem(variable, f"holds {name!r}, which is not a header name", "write it such as X-Frame-Options")
        if not isinstance(value, (str, int)):
            yield Problem(variable, f"holds a {type(value).__name__} for {name!r}", "give each header a text")
            continue
        try:
            quote(value)
        except ValueError as exc:
            yield Problem(
                variable, f"holds for {name!r} a value that nginx cannot send: {exc}", "take that character out"
            )
    lowered = [str(name).lower() for name in headers]
    if "strict-transport-security" in lowered:
        yield Problem(variable, "holds Strict-Transport-Security", "set asgi_proxy_hsts_max_age instead")
    for name in repeated(lowered):
        yield Problem(variable, f"holds {name!r} more than once, in different case", "give it once")


def _static_problems(entries: list[dict[str, Any]]) -> Iterator[Problem]:
    variable = "asgi_proxy_static"
    for entry in entries:
        url, path = entry["url"], entry["path"]
        if not (url.startswith("/") and url.endswith("/") and len(url) > 1):
            yield Problem(
                variable,
                f"has the url {url!r}",
                "start and end it with '/', with a name between, such as /static/: nginx would serve files from beside "
                "the directory otherwise",
            )
        elif not _plain_segments(url[1:-1]):
            yield Problem(
                variable,
                f"has the url {url!r}",
                "use letters, digits, and . _ ~ - in its parts, none starting with a dot",
            )
        if path.startswith("/"):
            yield Problem(variable, f"has the path {path!r}", "make it relative to the top of the source tree")
        elif not _plain_segments(path.rstrip("/")):
            yield Problem(
                variable,
                f"has the path {path!r}",
                "name a directory below the top of the source tree, without '..': letters, digits, and . _ ~ - in its "
                "parts, none starting with a dot",
            )
        if entry.get("max_age", 0) < 0:
            yield Problem(variable, f"has the max_age {entry['max_age']} for {url!r}", "it is 0 or more")
    for url in repeated(entry["url"] for entry in entries):
        yield Problem(variable, f"has the url {url!r} more than once", "give each url one path")


def _location_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable, locations = "asgi_proxy_locations", options["asgi_proxy_locations"]
    for entry in locations:
        url = entry["url"]
        where = f"has for {url!r} "
        yield from _url_problems(variable, url)
        for name, least in LOCATION_AT_LEAST.items():
            if entry.get(name) is not None and entry[name] < least:
                yield Problem(variable, f"{where}the {name} {entry[name]}", f"it is {least} or more")
        if entry.get("body_size") is not None and not SIZE.fullmatch(entry["body_size"]):
            remedy = "write a number and k, m or g, such as 1g; 0 is no limit"
            yield Problem(variable, f"{where}the body_size {entry['body_size']!r}", remedy)
        if entry.get("rate") and not RATE.fullmatch(entry["rate"]):
            remedy = "write requests per second or minute, such as 5r/s or 30r/m"
            yield Problem(variable, f"{where}the rate {entry['rate']!r}", remedy)
        if entry.get("burst") is not None and not entry.get("rate"):
            yield Problem(variable, f"{where}a burst and no rate", "give it the rate as well, or take the burst out")
        for name in ("allow", "deny"):
            yield from address_problems(variable, entry.get(name) or [], f"{where}an entry of {name} and ")
        if entry.get("basic_auth"):
            yield from _quotable(variable, f"{where}a basic_auth", entry["basic_auth"])
            if not options["asgi_proxy_users"]:
                remedy = "name those who may come in asgi_proxy_users"
                yield Problem(variable, f"{where}basic_auth, and nobody could come", remedy)
        for static in options["asgi_proxy_static"]:
            if encloses(static, url):
                yield Problem(
                    variable,
                    f"has {url!r}, which is below {static['url']!r} of asgi_proxy_static, where nginx does not ask the "
                    f"application",
                    "take it out, or give those files another url",
                )
    for url, _exact in repeated((entry["url"], bool(entry.get("exact"))) for entry in locations):
        yield Problem(variable, f"has the url {url!r} more than once", "give each url one location")


def _url_problems(variable: str, url: str) -> Iterator[Problem]:
    if not url.startswith("/"):
        yield Problem(variable, f"has the url {url!r}", "start it with '/', such as /events")
    elif url != "/" and not _plain_segments(url.removesuffix("/")[1:]):
        remedy = "use letters, digits, and . _ ~ - in its parts, none empty or starting with a dot"
        yield Problem(variable, f"has the url {url!r}", remedy)


def _probe_problems(options: dict[str, Any]) -> Iterator[Problem]:
    """Yield the objection to a site that would turn away the deployment, which asks for the app's health through nginx."""
    health, probe = options.get("asgi_proxy_health_url"), options.get("asgi_server_probe_path")
    if health is not None:
        if not _plain_segments(health[1:]) or not health.startswith("/"):
            remedy = "give a path such as /health: letters, digits, and . _ ~ - in its parts"
            yield Problem("asgi_proxy_health_url", f"is {health!r}", remedy)
        for entry in options["asgi_proxy_locations"]:
            if entry.get("exact") and entry["url"] == health:
                remedy = "take it out of there: it is open to everybody"
                yield Problem("asgi_proxy_health_url", f"is {health!r}, and so is one of asgi_proxy_locations", remedy)
        for static in options["asgi_proxy_static"]:
            if encloses(static, health):
                remedy = "give a path of the application"
                fault = f"is {health!r}, which is below {static['url']!r} of asgi_proxy_static"
                yield Problem("asgi_proxy_health_url", fault, remedy)
    if probe is None or probe == health:
        return
    locations = [
        {name: value for name, value in entry.items() if value is not None} for entry in options["asgi_proxy_locations"]
    ]
    closed = [
        name for name in ("basic_auth", "allow", "deny") if name in settings_of(probe.partition("?")[0], locations)
    ]
    if closed:
        yield Problem(
            "asgi_proxy_locations",
            f"has {' and '.join(closed)} where asgi_server_probe_path {probe!r} is, so that a deployment could not see that "
            f"nginx reaches the application",
            f"set asgi_proxy_health_url to {probe!r}, which leaves that path open",
        )


def _user_problems(options: dict[str, Any]) -> Iterator[Problem]:
    variable = "asgi_proxy_users"
    for name, hashed in options[variable].items():
        if not USER.fullmatch(str(name)):
            remedy = "use letters, digits, and . _ @ + -"
            yield Problem(variable, f"has the name {name!r}", remedy)
        # never said: it may be the password
        found = PASSWORD_HASH.fullmatch(str(hashed))
        if not found:
            yield Problem(
                variable,
                f"has for {name!r} something that is no hash which nginx can check fast",
                "give what `openssl passwd -6` prints; it starts with $6$",
            )
        elif int(found["rounds"] or 0) > ROUNDS_LIMIT:
            yield Problem(
                variable,
                f"has for {name!r} a hash of {found['rounds']} rounds, which nginx would compute for every request",
                f"give one of {ROUNDS_LIMIT} at most, such as `openssl passwd -6` prints",
            )


def _maintenance_problems(context: Context) -> Iterator[Problem]:
    options = context.options
    yield from address_problems("asgi_proxy_maintenance_allow", options["asgi_proxy_maintenance_allow"])
    page = options.get("asgi_proxy_maintenance_page")
    if page is not None:
        path = context.find(page)
        try:
            path.read_text(encoding="utf-8")
        except OSError as exc:
            remedy = "name an HTML file on the controller that you can read"
            yield Problem("asgi_proxy_maintenance_page", f"is {str(path)!r}: {exc.strerror}", remedy)
        except ValueError:
            yield Problem(
                "asgi_proxy_maintenance_page", f"is {str(path)!r}, which is not UTF-8 text", "save it as UTF-8"
            )


def _log_problems(options: dict[str, Any]) -> Iterator[Problem]:
    try:
        log_redaction.expressions(options["asgi_proxy_log_redact"])
    except ValueError as exc:
        yield Problem("asgi_proxy_log_redact", f"is wrong: {exc}", "give names such as access_token")
    status = options.get("asgi_proxy_status_listen")
    if status is not None and not LOOPBACK_PORT.fullmatch(status):
        yield Problem(
            "asgi_proxy_status_listen", f"is {status!r}", "give a loopback address and port, such as 127.0.0.1:8090"
        )


def _stapling_problems(options: dict[str, Any]) -> Iterator[Problem]:
    if options["asgi_proxy_ocsp_stapling"] and options["asgi_proxy_tls_provider"] == "selfsigned":
        yield Problem(
            "asgi_proxy_ocsp_stapling",
            "is true, and a self-signed certificate has no issuer to ask",
            "leave it out, or set another asgi_proxy_tls_provider",
        )


def _quotable(variable: str, what: str, value: str) -> Iterator[Problem]:
    try:
        quote(value)
    except ValueError as exc:
        yield Problem(variable, f"{what} that nginx cannot say: {exc}", "take that character out")


def _plain_segments(path: str) -> bool:
    return all(STATIC_SEGMENT.fullmatch(segment) for segment in path.split("/"))


def _acme_problems(context: Context) -> Iterator[Problem]:
    options = context.options
    provider, extra = options["asgi_proxy_tls_provider"], options["asgi_proxy_acme_extra_names"]
    if provider != "acme":
        if extra:
            yield Problem(
                "asgi_proxy_acme_extra_names",
                f"is set, and asgi_proxy_tls_provider is {provider!r}, which ignores it",
                "set asgi_proxy_tls_provider to 'acme', or take it out",
            )
        return

    yield from name_problems("asgi_proxy_acme_extra_names", extra)
    for variable in ("asgi_proxy_server_names", "asgi_proxy_redirect_names"):
        for name in sorted(set(extra) & set(options[variable])):
            yield Problem("asgi_proxy_acme_extra_names", f"holds {name!r}, as does {variable}", "list it once")
    yield from acme_problems(
        context, "asgi_proxy", ["asgi_proxy_server_names", "asgi_proxy_redirect_names", "asgi_proxy_acme_extra_names"]
    )
