# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the site: whether nginx and the app answer, nginx's configuration, and the certificate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import CERTIFICATE, judge
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import OK as SITE_OK
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor.findings import (
    Finding,
    fail,
    live_slot,
    ok,
    owner_and_mode,
    warn,
)

CERTIFICATE_DAYS = 14


def traffic(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    paths, release = layout(seen["name"]), seen["pairs"][seen["live"]]["release"]
    if seen["links"]["live_socket"] != f"{seen['live']}.sock":
        yield fail("live-socket-missing", f"{paths['live_socket']} does not exist, so nginx reaches no slot")
    current = seen["links"]["current"]
    if current != f"releases/{release}":
        found = f"{paths['current']} is {current or 'missing'}, but {release} is live: static files are those of another release"
        yield fail("current-link-wrong", found)


def health(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    observed = seen["running"]["health"]
    if observed["socket"]:
        yield fail("app-unhealthy", observed["socket"], f"see journalctl --unit={live_slot(seen)['service_unit']}")
        return
    site = judge(observed["site"]) if observed["site"] else None
    for cause in site.causes if site else []:
        if cause.kind != CERTIFICATE:
            yield fail("site-unhealthy", cause.text, cause.remedy)
    if observed["socket"] == "":
        answers = ", and so does its site" if site and site.verdict == SITE_OK else ""
        yield ok("; ".join([f"the app answers{answers}", *(site.notes if site else [])]))


def nginx(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    observed = seen["nginx"]
    if not observed["installed"]:
        yield fail("nginx-missing", "nginx is not installed")
    elif not observed["valid"]:
        yield fail("nginx-config-invalid", f"nginx -t rejects the configuration: {observed['output']}")
    else:
        for warning in observed["warnings"]:
            if "deprecated" not in warning:
                yield warn("nginx-config-warning", f"nginx -t warns: {warning}")


def certificate(seen: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    observed = seen["running"]["certificate"]
    path, content = observed["path"], observed["read"]
    if path is None and observed.get("of_another_app"):
        yield ok("the app that owns the name has the certificate")
        return
    if path is None:
        yield fail("site-certificate-missing", f"{layout(seen['name'])['nginx_site']} contains no certificate")
        return
    if content is None:
        yield fail("site-certificate-unreadable", f"{path} cannot be read as a certificate")
        return
    days = content["days"]
    if days < 0:
        yield fail("site-certificate-expired", f"{path} has expired")
    elif days < CERTIFICATE_DAYS:
        yield warn("site-certificate-expiring", f"{path} expires in {days} days")
    site = seen["running"]["health"]["site"]
    for cause in judge(site).causes if site else []:
        if cause.kind == CERTIFICATE:
            yield fail("site-certificate-not-served", cause.text, cause.remedy)
    missing = [name for name in expected.get("server_names") or [] if not _covered(name, content["names"])]
    if missing:
        yield warn("site-certificate-name-missing", f"{path} does not cover {' and '.join(missing)}")
    mode, directory = observed["mode"], observed["directory"]
    if mode and mode["mode"][-2:] != "00":
        found = f"{path}, which contains the key, is {owner_and_mode(mode)}"
        yield fail("site-certificate-exposed", found, f"chmod 0600 {path}, and replace the key")
    if directory and directory["mode"][-2:] != "00":
        found = f"the directory of {path} is {owner_and_mode(directory)}, so other accounts can list it"
        yield warn("site-certificate-listed", found)
    yield ok(f"{days} days")


def _covered(name: str, names: list[str]) -> bool:
    return name in names or f"*.{name.partition('.')[2]}" in names
