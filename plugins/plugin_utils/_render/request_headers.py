# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Request headers that a site sets itself, so that the application server trusts nginx and never the client.

The tables below contain every header that a server in :mod:`_server.servers` evaluates; a unit test verifies this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

PATTERN_LIMIT = 1500

SET = {
    "Host": "$host$asgi_host_port",
    "X-Real-IP": "$remote_addr",
    "X-Forwarded-For": "$remote_addr",
    "X-Forwarded-Proto": "$asgi_scheme",
    "X-Forwarded-Host": "$host$asgi_host_port",
    "X-Request-ID": "$asgi_request_id",
    "Upgrade": "$asgi_upgrade",
    "Connection": "$asgi_connection",
}
"""The values that nginx sets, by header."""

CLEARED = (
    # Scheme, host and path, from which servers, frameworks and middleware build URLs.
    "CloudFront-Forwarded-Proto",
    "Fastly-SSL",
    "Forwarded",
    "Front-End-Https",
    "Path-Info",
    "Script-Name",
    "X-Forwarded",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Original-Host",
    "X-Original-Method",
    "X-Original-Proto",
    "X-Original-URI",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Script-Name",
    "X-Url-Scheme",
    # Client addresses.
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "CF-Pseudo-IPv4",
    "Client-IP",
    "Fastly-Client-IP",
    "Forwarded-For",
    "Proxy-Client-IP",
    "True-Client-IP",
    "WL-Proxy-Client-IP",
    "X-Appengine-User-IP",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Envoy-External-Address",
    "X-Original-Forwarded-For",
    "X-Original-Remote-Addr",
    "X-Originating-IP",
    "X-ProxyUser-Ip",
    "X-Remote-Addr",
    "X-Remote-IP",
    # Users that a proxy has authenticated.
    "Cf-Access-Authenticated-User-Email",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    "Remote-User",
    "Tailscale-User-Login",
    "Tailscale-User-Name",
    "X-Amzn-Oidc-Identity",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-User",
    "X-Authenticated-Email",
    "X-Authenticated-Groups",
    "X-Authenticated-User",
    "X-Authenticated-Userid",
    "X-Authentik-Email",
    "X-Authentik-Entitlements",
    "X-Authentik-Groups",
    "X-Authentik-Name",
    "X-Authentik-Uid",
    "X-Authentik-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-User",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-ID",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-ID",
    "X-MS-Client-Principal-IDP",
    "X-MS-Client-Principal-Name",
    "X-Remote-Email",
    "X-Remote-Group",
    "X-Remote-Groups",
    "X-Remote-Name",
    "X-Remote-User",
    "X-WebAuth-Email",
    "X-WebAuth-Groups",
    "X-WebAuth-Name",
    "X-WebAuth-User",
    # Client certificates that a proxy has verified.
    "Client-Cert",
    "Client-Cert-Chain",
    "SSL-Client-Cert",
    "SSL-Client-Dn",
    "SSL-Client-I-Dn",
    "SSL-Client-Issuer-Dn",
    "SSL-Client-S-Dn",
    "SSL-Client-Serial",
    "SSL-Client-Subject-Dn",
    "SSL-Client-Verify",
    "X-Amzn-Mtls-Clientcert",
    "X-Amzn-Mtls-Clientcert-Issuer",
    "X-Amzn-Mtls-Clientcert-Leaf",
    "X-Amzn-Mtls-Clientcert-Serial-Number",
    "X-Amzn-Mtls-Clientcert-Subject",
    "X-Amzn-Mtls-Clientcert-Validity",
    "X-ARR-ClientCert",
    "X-ARR-SSL",
    "X-Client-Cert",
    "X-Client-Certificate",
    "X-Client-Dn",
    "X-Client-Verify",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-SSL-Cert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Cn",
    "X-SSL-Client-Dn",
    "X-SSL-Client-Fingerprint",
    "X-SSL-Client-I-Dn",
    "X-SSL-Client-Issuer",
    "X-SSL-Client-Issuer-Dn",
    "X-SSL-Client-S-Dn",
    "X-SSL-Client-Serial",
    "X-SSL-Client-SHA1",
    "X-SSL-Client-Subject",
    "X-SSL-Client-Subject-Dn",
    "X-SSL-Client-Verify",
    # Headers that configure sendfile in Rack.
    "X-Accel-Mapping",
    "X-Sendfile-Type",
    # CGI passes this header as the environment variable HTTP_PROXY.
    "Proxy",
    # The site check of this collection, and the path of an app that shares a name with others.
    "X-Asgi-Site-Check",
    "X-Asgi-Root-Path",
)
"""Proxy headers that clients must not set. nginx removes them, except those that a trusted proxy may set."""

FIXED = frozenset({"proxy", "x-asgi-site-check", "x-asgi-root-path"})
"""Headers, in lower case, that even trusted proxies must not set."""

PREFIX_HEADERS = ("X-Forwarded-Prefix", "X-Asgi-Root-Path")
"""Headers with the path that nginx has removed from a request; asgi_deploy_request.py evaluates the second one."""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers, in lower case, that apply to a single connection or delimit the request. nginx always sets them itself."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")
# The name must fit into a line of HAProxy's configuration and into the name of an nginx variable.
LONGEST = 100


def request_headers(trusted: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the headers of a site by name; nginx removes those with an empty value from the request.

    *trusted* maps each header that trusted proxies may set to the nginx variable with its value.

    A WSGI application cannot distinguish ``X_Forwarded_For`` from ``X-Forwarded-For``. nginx drops names with an underscore
    unless ``underscores_in_headers`` is on, so both spellings are cleared.
    """
    trusted = trusted or {}
    names = unique([*trusted, *CLEARED])
    underscored = (name.replace("-", "_") for name in (*SET, *names) if "-" in name)
    return {**SET, **dict.fromkeys([*names, *underscored], ""), **trusted}


def trusted_headers(names: Iterable[str], site: str) -> dict[str, dict[str, str]]:
    """Return nginx's variables for the headers *names* that trusted proxies may set, by header.

    ``source`` is the variable with the header of the request, ``variable`` the one with the header that the app receives. *site* becomes
    part of the name of ``variable``.
    """
    return {
        name: {
            "source": f"$http_{name.lower().replace('-', '_')}",
            "variable": f"$asgi_{site}_trusted_{number}",
        }
        for number, name in enumerate(names, start=1)
    }


def trusted_faults(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the code, fault and remedy for each header in *names* that trusted proxies must not set."""
    names = list(names)
    reserved = {name.lower() for name in SET} | FIXED
    for name in names:
        if "_" in name and NAME.fullmatch(name.replace("_", "-")):
            remedy = "replace '_' with '-': nginx drops headers with underscores"
            yield "header-name-invalid", f"contains {name!r}", remedy
        elif not NAME.fullmatch(name) or len(name) > LONGEST:
            fault = f"contains {name!r}, which is not a header name"
            yield "header-name-invalid", fault, "use a name such as X-Forwarded-User"
        elif name.lower() in HOP_BY_HOP:
            fault = f"contains {name!r}, which applies to one connection only"
            yield "trusted-header-not-allowed", fault, "remove it: nginx sets it itself"
        elif name.lower() in reserved:
            yield "trusted-header-not-allowed", f"contains {name!r}, which the site sets", "remove it"
    lowered = [name.lower() for name in names]
    for name in sorted({each for each in lowered if lowered.count(each) > 1}):
        yield "header-duplicate", f"contains {name!r} more than once", "list it once"


def header_patterns(names: Iterable[str] = ()) -> list[str]:
    """Return regular expressions for the lower-case names of the headers that HAProxy removes: CLEARED and *names*.

    There is more than one, because a line of HAProxy's configuration is limited to 2047 characters. "-" also matches "_".
    """
    found: list[str] = []
    part: list[str] = []
    for name in sorted(each.lower().replace("-", "[-_]") for each in unique([*CLEARED, *names])):
        if part and len("|".join([*part, name])) > PATTERN_LIMIT:
            found.append(_pattern(part))
            part = []
        part.append(name)
    return [*found, _pattern(part)]


def _pattern(parts: Iterable[str]) -> str:
    return f"^(?:{'|'.join(parts)})$"


def unique(names: Iterable[str]) -> list[str]:
    """Return *names* without case-insensitive duplicates, in the first spelling of each."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.lower(), name)
    return list(found.values())
