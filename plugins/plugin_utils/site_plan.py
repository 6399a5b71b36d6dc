# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which locations a site has, which comes first, and what each takes from those around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Who may come, and how often: what is true of a location is true of everything below it, static files too.
ACCESS = ("allow", "deny", "basic_auth", "rate", "burst", "connections")
# What a location hands down to those below it besides.
TRANSFER = ("body_size", "buffering", "request_buffering", "read_timeout", "send_timeout")
OWN = ("snippet", "log")

ROOT = "/"


def encloses(outer: Mapping[str, Any], url: str) -> bool:
    """Return whether a request for *url* is one for the location *outer*."""
    mine = outer["url"]
    if outer.get("exact"):
        return url == mine
    # "/admin" is that and what is below it, and not "/administration"; "/admin/" is what is below it alone
    return url == mine or url.startswith(mine if mine.endswith("/") else f"{mine}/")


def settings_of(url: str, locations: Iterable[Mapping[str, Any]], names: Iterable[str] = ACCESS) -> dict[str, Any]:
    """Return what holds for *url*: of each setting in *names*, that of the closest location which has it.

    A limit comes with the location that it is from, as ``rate_of`` and ``connections_of``: all that take it from there
    count together.
    """
    found: dict[str, Any] = {}
    for each in sorted((each for each in locations if encloses(each, url)), key=_specificity):
        if "rate" in each:
            # a burst belongs to the rate beside it
            found.pop("burst", None)
        found.update({name: each[name] for name in names if name in each})
        found.update({f"{kind}_of": match(each) for kind in ("rate", "connections") if kind in each})
    # what was switched off again; a body size of 0 and a buffering of false say something
    off = [name for name in ACCESS if name in found and not found[name]]
    return {name: value for name, value in found.items() if name not in off}


def match(entry: Mapping[str, Any]) -> str:
    """Return what nginx is to compare a URL with."""
    url = entry["url"]
    if entry.get("exact"):
        return f"= {url}"
    if url == ROOT:
        return ROOT
    # Not nginx's own prefix, which is one of letters and not of parts of a path.
    return f"~ ^{re.escape(url)}" if url.endswith("/") else f"~ ^{re.escape(url)}(?:/|$)"


def site_plan(
    locations: Iterable[Mapping[str, Any]], static: Iterable[Mapping[str, Any]] = (), health_url: str | None = None
) -> dict[str, Any]:
    """Return the ``locations``, ``static`` entries and limit ``zones`` of a site as nginx is to have them.

    Regular expressions come in the order in which nginx has to try them. There always is a location for all the rest.
    """
    entries = list(locations)
    if not any(match(each) == ROOT for each in entries):
        entries.append({"url": ROOT})
    zones: dict[tuple[str, str], dict[str, Any]] = {}

    planned = []
    if health_url is not None:
        # open: who asks is a balancer that knows no password, and asks whenever it likes
        planned.append({"match": match({"url": health_url, "exact": True}), "log": False})
    for entry in sorted(entries, key=_specificity, reverse=True):
        settings = settings_of(entry["url"], entries, (*ACCESS, *TRANSFER))
        own = {name: entry[name] for name in OWN if name in entry}
        planned.append({"match": match(entry), **_counted(settings, zones), **own})
    for number, location in enumerate(planned, start=1):
        location["websocket"] = f"@websocket_{number}"

    files = [
        {**entry, **_counted(settings_of(entry["url"], entries), zones), "number": number}
        for number, entry in enumerate(static, start=1)
    ]
    return {"locations": planned, "static": files, "zones": list(zones.values())}


def _specificity(entry: Mapping[str, Any]) -> tuple:
    return bool(entry.get("exact")), len(entry["url"].rstrip("/")), entry["url"].endswith("/")


def _counted(settings: dict[str, Any], zones: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """Return *settings* with the names of the zones in which its limits count, and add those to *zones*."""
    found = dict(settings)
    for kind in ("rate", "connections"):
        source = found.pop(f"{kind}_of", None)
        if kind in found:
            zone = zones.setdefault((kind, source), {"name": f"{kind}_{len(zones) + 1}", "kind": kind})
            zone["limit"] = found[kind]
            found[f"{kind}_zone"] = zone["name"]
    return found
