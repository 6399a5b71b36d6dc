# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the locations of a site: their order, and the settings that they inherit from enclosing locations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._render import snippets
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import (
    PREFIX_HEADERS,
    request_headers,
    trusted_headers,
)

# Access settings and limits, which also apply to all enclosed locations and static files.
ACCESS = ("allow", "deny", "basic_auth", "cors_preflight", "rate", "burst", "connections")
# Other settings, which enclosed locations inherit.
TRANSFER = ("body_size", "buffering", "request_buffering", "read_timeout", "send_timeout")
OWN = ("snippet", "log")

ROOT = "/"


def encloses(outer: Mapping[str, Any], url: str) -> bool:
    """Return whether *url* is within the location *outer*."""
    prefix = outer["url"]
    if outer.get("exact"):
        return url == prefix
    # "/admin" contains "/admin" and "/admin/x", but not "/administration". "/admin/" does not contain "/admin".
    return url == prefix or url.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def settings_of(url: str, locations: Iterable[Mapping[str, Any]], names: Iterable[str] = ACCESS) -> dict[str, Any]:
    """Return the settings *names* that apply to *url*, each from the innermost location that sets it.

    ``rate_of`` and ``connections_of`` are the location that sets the limit, because all locations that inherit it share one counter.
    """
    found: dict[str, Any] = {}
    for each in sorted((each for each in locations if encloses(each, url)), key=_specificity):
        if "rate" in each:
            # A burst belongs to the rate of the same location.
            found.pop("burst", None)
        found.update({name: each[name] for name in names if name in each})
        found.update({f"{kind}_of": match(each) for kind in ("rate", "connections") if kind in each})
    # An empty value disables access settings and limits. For the other settings, 0 and false are regular values.
    off = [name for name in ACCESS if name in found and not found[name]]
    return {name: value for name, value in found.items() if name not in off}


def match(entry: Mapping[str, Any]) -> str:
    """Return the modifier and the pattern of the nginx location for *entry*."""
    url = entry["url"]
    if entry.get("exact"):
        return f"= {url}"
    if url == ROOT:
        return ROOT
    # A prefix location of nginx ignores the end of a path segment: /admin would also match /administration.
    return f"~ ^{re.escape(url)}" if url.endswith("/") else f"~ ^{re.escape(url)}(?:/|$)"


def match_doubled(entry: Mapping[str, Any]) -> str | None:
    """Return the nginx match for URLs that belong to *entry* only if double slashes are merged; None for the root location.

    Some applications merge double slashes, others do not. nginx tries this match after :func:`match` of the same entry and before
    :func:`match` of the next one, so a URL matches here only if merging its slashes changes its location.
    """
    if match(entry) == ROOT:
        return None
    slashes = re.escape(entry["url"]).replace("/", "/+")
    if entry.get("exact"):
        return f"~ ^{slashes}$"
    return f"~ ^{slashes}" if entry["url"].endswith("/") else f"~ ^{slashes}(?:/|$)"


def site_plan(
    locations: Iterable[Mapping[str, Any]],
    static: Iterable[Mapping[str, Any]] = (),
    health_url: str | None = None,
    snippet: str | None = None,
    trusted: Iterable[str] = (),
    variable: str = "",
    path: str | None = None,
    strip: bool = True,
) -> dict[str, Any]:
    """Return the ``locations``, ``static`` entries and limit ``zones`` of a site for nginx's configuration.

    The locations are in the order in which nginx must try their regular expressions, and always include one for all other URLs.
    *snippet* is the server's snippet; :func:`snippets.plan` describes its effects. *trusted* lists the headers that trusted proxies
    may set, *variable* is the part of nginx's variable names that identifies the site.

    With *path*, the app has only this path of another app's site. With *strip*, it receives paths without *path*, which all URLs then lack.
    """
    entries, static = list(locations), list(static)
    root = ROOT if path is None else f"{path}/"
    if path is not None and strip:
        entries, static = ([{**each, "url": f"{path}{each['url']}"} for each in some] for some in (entries, static))
        health_url = None if health_url is None else f"{path}{health_url}"
    if not any(each["url"] in (root, path) and not each.get("exact") for each in entries):
        entries.append({"url": root})
    zones: dict[tuple[str, str], dict[str, Any]] = {}

    planned = []
    if health_url is not None:
        # Without access settings and limits, because balancers have no password and probe frequently.
        health = {"url": health_url, "exact": True}
        planned.append({"match": match(health), "doubled": match_doubled(health), "log": False})
    for entry in sorted(entries, key=_specificity, reverse=True):
        settings = settings_of(entry["url"], entries, (*ACCESS, *TRANSFER))
        own = {name: entry[name] for name in OWN if name in entry}
        planned.append({"match": match(entry), "doubled": match_doubled(entry), **_counted(settings, zones), **own})
    files = [
        {**entry, **_counted(settings_of(entry["url"], entries), zones), "number": number}
        for number, entry in enumerate(static, start=1)
    ]
    realms = _realms([*planned, *files], variable)
    # For the path itself, a location with the URL /api applies rather than one with /api/.
    roots = [each for url in (path or ROOT, root) for each in planned if each["match"] == match({"url": url})]
    for number, location in enumerate(planned, start=1):
        location["websocket"] = f"@websocket_{number}" if path is None else f"@websocket_{variable}_{number}"

    from_proxies = trusted_headers(trusted, variable)
    set_by_proxies = {name: each["variable"] for name, each in from_proxies.items()}
    prefixes = PREFIX_HEADERS if path is not None and strip else ()
    # A header that the site sets too must not reach the app twice. The prefix of a trusted proxy precedes the path.
    outer = {
        name.lower(): set_by_proxies.pop(name)
        for name in list(set_by_proxies)
        if name.lower() in map(str.lower, prefixes)
    }

    return {
        "locations": planned,
        "static": files,
        "zones": list(zones.values()),
        "realms": realms,
        **snippets.plan(snippet or "", planned),
        "trusted_headers": from_proxies,
        "cleared_headers": [name for name, value in request_headers().items() if not value],
        "request_headers": request_headers(set_by_proxies),
        "prefix_headers": {name: {"outer": outer.get(name.lower(), ""), "path": path} for name in prefixes},
        "health_url": health_url,
        "root": roots[0],
    }


def _realms(planned: Iterable[dict[str, Any]], variable: str) -> list[dict[str, Any]]:
    """Return nginx's variables for the realms that CORS preflight requests may pass, and add to each of *planned* the name of its variable."""
    found: dict[str, dict[str, Any]] = {}
    for location in planned:
        realm = location.get("basic_auth")
        if realm and location.get("cors_preflight"):
            name = f"$asgi_{variable}_realm_{len(found) + 1}"
            location["realm"] = found.setdefault(realm, {"variable": name, "realm": realm})["variable"]
    return list(found.values())


def _specificity(entry: Mapping[str, Any]) -> tuple:
    return bool(entry.get("exact")), len(entry["url"].rstrip("/")), entry["url"].endswith("/")


def _counted(settings: dict[str, Any], zones: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """Return *settings* with the zones of its limits, and add these zones to *zones*."""
    found = dict(settings)
    for kind in ("rate", "connections"):
        source = found.pop(f"{kind}_of", None)
        if kind in found:
            zone = zones.setdefault((kind, source), {"name": f"{kind}_{len(zones) + 1}", "kind": kind})
            zone["limit"] = found[kind]
            found[f"{kind}_zone"] = zone["name"]
    return found
