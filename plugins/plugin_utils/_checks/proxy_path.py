# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of apps that share a server name: asgi_proxy_path and asgi_proxy_reserved_paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.frontend import repeated
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem

PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._~-]*)+")
LONGEST = 200
# Lists that only the app with the name can have.
OF_OWNER = ("asgi_proxy_redirect_names", "asgi_proxy_acme_extra_names", "asgi_proxy_reserved_paths")


def path_problems(options: dict[str, Any]) -> Iterator[Problem]:
    path = options.get("asgi_proxy_path")
    reserved = options["asgi_proxy_reserved_paths"]
    for variable, each in (("asgi_proxy_path", path), *(("asgi_proxy_reserved_paths", each) for each in reserved)):
        if each is not None and (not PATH.fullmatch(each) or len(each) > LONGEST):
            fault = f"{'is' if variable == 'asgi_proxy_path' else 'contains'} {each!r}"
            yield Problem("proxy-path-invalid", variable, fault)
    for each in repeated(reserved):
        yield Problem("url-duplicate", "asgi_proxy_reserved_paths", f"contains {each!r} more than once")
    if path is None:
        return
    names = options["asgi_proxy_server_names"]
    if len(names) > 1:
        fault = f"contains {len(names)} names, and asgi_proxy_path is {path!r}"
        yield Problem("proxy-path-names", "asgi_proxy_server_names", fault)
    for variable in OF_OWNER:
        if options[variable]:
            yield Problem("proxy-path-owner", variable, f"is set, and asgi_proxy_path is {path!r}")
    if not options["asgi_proxy_strip_path"]:
        yield from _outside_problems(path, options)


def _outside_problems(path: str, options: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each URL that is not below *path*, which nginx keeps in requests."""
    urls = [
        *(("asgi_proxy_locations", entry["url"]) for entry in options["asgi_proxy_locations"]),
        *(("asgi_proxy_static", entry["url"]) for entry in options["asgi_proxy_static"]),
        ("asgi_proxy_health_url", options.get("asgi_proxy_health_url")),
        ("asgi_server_probe_path", options.get("asgi_server_probe_path")),
    ]
    exact = [
        *(
            ("asgi_proxy_locations", "contains", entry["url"])
            for entry in options["asgi_proxy_locations"]
            if entry.get("exact")
        ),
        ("asgi_proxy_health_url", "is", options.get("asgi_proxy_health_url")),
    ]
    for variable, verb, url in exact:
        if url == path:
            fault = f"{verb} {url!r}, like asgi_proxy_path, and would be a second location for it"
            yield Problem("proxy-path-outside", variable, fault, "use a URL below it, or a location without exact")
    for variable, url in urls:
        if url is not None and url != path and not url.startswith(f"{path}/"):
            fault = f"{'contains' if variable in ('asgi_proxy_locations', 'asgi_proxy_static') else 'is'} {url!r}"
            yield Problem("proxy-path-outside", variable, f"{fault}, which is not below asgi_proxy_path {path!r}")
