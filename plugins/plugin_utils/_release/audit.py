# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look up the packages of a release in a vulnerability database with the API of OSV (https://google.github.io/osv.dev/api/).

The controller sends one query per run for the same packages. An unavailable database is reported, and never counts as a result
without vulnerabilities.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from ansible.module_utils.urls import open_url
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls, without_credentials
from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import normalised
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.run_cache import once

ECOSYSTEM = "PyPI"
REQUEST_SECONDS = 20
TOTAL_SECONDS = 120
RESPONSE_BYTES = 16 << 20
# Limit of the API.
QUERIES_PER_REQUEST = 1000
PAGE_LIMIT = 20

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")

Fetch = Callable[[str, Any], Any]


class Unavailable(Exception):
    """The database returned no usable response; the message is the reason."""


@dataclass(frozen=True)
class Finding:
    """A vulnerability of an installed package: its identifiers, and the versions that fix it."""

    package: str
    version: str
    ids: Sequence[str]
    fixed: Sequence[str]

    def __str__(self) -> str:
        first, *aliases = self.ids
        names = f"{first} ({', '.join(aliases)})" if aliases else first
        return f"{self.package} {self.version}: {names}, {'fixed in ' + ', '.join(self.fixed) if self.fixed else 'no fix known'}"


@dataclass(frozen=True)
class Audit:
    """The result for a release. ``unavailable`` is the reason why the packages were not audited; empty if they were."""

    database: str
    findings: Sequence[Finding] = ()
    unavailable: str = ""

    def report(self, release: str, ignore: Iterable[str] = ()) -> list[str]:
        """Return the messages for the operator about *release*; the list is empty if there are no problems."""
        if self.unavailable:
            fault = f"the packages of release {release} were not audited: {self.database} {self.unavailable}"
            remedy = "make it reachable from the controller, set asgi_app_audit_url, or set asgi_app_audit to false"
            return [f"{fault} -> {remedy}"]
        ignored = set(ignore)
        found = [finding for finding in self.findings if not ignored & set(finding.ids)]
        if not found:
            return []
        count = "1 known vulnerability" if len(found) == 1 else f"{len(found)} known vulnerabilities"
        lines = "".join(f"\n  {finding}" for finding in found)
        remedy = "-> require fixed versions, or list identifiers that do not affect the app in asgi_app_audit_ignore"
        return [f"release {release} has {count} (source: {self.database}):{lines}\n{remedy}"]


def audit(packages: Mapping[str, str], url: str, directory: str | os.PathLike[str]) -> Audit:
    """Return the audit of *packages* by the database at *url*. The result is cached in *directory* for the rest of the run."""

    def compute(_place: Any) -> dict[str, Any]:
        try:
            return {"findings": [asdict(finding) for finding in findings(packages, _client(url))]}
        except Unavailable as exc:
            return {"unavailable": str(exc)}

    found = once(directory, "audit", [url, sorted(packages.items())], compute)
    return Audit(
        database=without_credentials(url),
        findings=[Finding(**finding) for finding in found.get("findings", [])],
        unavailable=found.get("unavailable", ""),
    )


def findings(packages: Mapping[str, str], fetch: Fetch) -> list[Finding]:
    """Return the vulnerabilities of *packages*, which maps names to versions. Raises Unavailable unless the response covers each package."""
    if not packages:
        raise Unavailable("was not queried, because the host returned no packages")
    for name, version in packages.items():
        if not _PACKAGE.fullmatch(str(name)) or not _VERSION.fullmatch(str(version)):
            raise Unavailable(
                f"was not queried, because the host returned an invalid package: {str(name)[:80]!r} {str(version)[:80]!r}"
            )
    wanted = sorted((normalised(name), version) for name, version in packages.items())
    found: list[Finding] = []
    known: dict[str, Mapping[str, Any]] = {}
    for (name, version), identifiers in zip(wanted, _identifiers(wanted, fetch), strict=True):
        for identifier in identifiers:
            if identifier not in known:
                known[identifier] = _record(identifier, fetch)
        found += _merged(name, version, [known[identifier] for identifier in identifiers])
    return found


def _identifiers(wanted: Sequence[tuple[str, str]], fetch: Fetch) -> list[list[str]]:
    """Return the identifiers of the vulnerabilities of each package."""
    found: list[list[str]] = [[] for _package in wanted]
    todo = [(number, _query(*package)) for number, package in enumerate(wanted)]
    for _page in range(PAGE_LIMIT):
        if not todo:
            return [list(dict.fromkeys(each)) for each in found]
        now, todo = todo[:QUERIES_PER_REQUEST], todo[QUERIES_PER_REQUEST:]
        results = _dictionary(fetch("/v1/querybatch", {"queries": [query for _number, query in now]})).get("results")
        if not isinstance(results, list) or len(results) != len(now):
            raise Unavailable("did not return a result for each package")
        for (number, query), result in zip(now, results, strict=True):
            for vulnerability in _list(_dictionary(result or {}).get("vulns") or []):
                identifier = _dictionary(vulnerability).get("id")
                if not isinstance(identifier, str) or not _ID.fullmatch(identifier):
                    raise Unavailable("returned a vulnerability without a valid identifier")
                found[number].append(identifier)
            if token := (result or {}).get("next_page_token"):
                todo.append((number, {**query, "page_token": token}))
    raise Unavailable(f"returned more than {PAGE_LIMIT} pages of results")


def _query(name: str, version: str) -> dict[str, Any]:
    return {"package": {"name": name, "ecosystem": ECOSYSTEM}, "version": version}


def _record(identifier: str, fetch: Fetch) -> Mapping[str, Any]:
    """Return the record of a vulnerability, or only its identifier if the database returns no record."""
    try:
        record = _dictionary(fetch(f"/v1/vulns/{quote(identifier, safe='')}", None))
    except Unavailable:
        record = {}
    return {**record, "id": identifier}


def _merged(name: str, version: str, records: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return one finding for each vulnerability, merging records with common identifiers."""
    groups: list[tuple[list[str], list[str]]] = []
    for record in records:
        if record.get("withdrawn"):
            continue
        aliases = [each for each in _texts(record.get("aliases")) if _ID.fullmatch(each)]
        ids, fixed = [record["id"], *aliases], _fixed(name, record)
        same = next((group for group in groups if set(group[0]) & set(ids)), None)
        if same:
            same[0].extend(ids)
            same[1].extend(fixed)
        else:
            groups.append((ids, fixed))
    return [Finding(name, version, list(dict.fromkeys(ids)), list(dict.fromkeys(fixed))) for ids, fixed in groups]


def _fixed(name: str, record: Mapping[str, Any]) -> list[str]:
    found = []
    for affected in _dictionaries(record.get("affected")):
        package = affected.get("package")
        is_python = isinstance(package, dict) and package.get("ecosystem") == ECOSYSTEM
        if not is_python or normalised(str(package.get("name"))) != name:
            continue
        for versions in _dictionaries(affected.get("ranges")):
            if versions.get("type") == "ECOSYSTEM":
                fixes = (event.get("fixed") for event in _dictionaries(versions.get("events")))
                found += [fix for fix in fixes if isinstance(fix, str) and _VERSION.fullmatch(fix)]
    return found


def _client(url: str) -> Fetch:
    """Return a function that queries the database at *url*; its arguments are a path and the content of a POST, or None for GET."""
    deadline = time.monotonic() + TOTAL_SECONDS

    def fetch(path: str, content: Any) -> Any:
        seconds = min(REQUEST_SECONDS, deadline - time.monotonic())
        if seconds <= 0:
            raise Unavailable(f"did not respond within {TOTAL_SECONDS} s")
        try:
            with open_url(
                url.rstrip("/") + path,
                method="GET" if content is None else "POST",
                data=None if content is None else json.dumps(content),
                headers={"Content-Type": "application/json"},
                http_agent="asgi.deploy",
                timeout=seconds,
                follow_redirects="no",
            ) as response:
                body = response.read(RESPONSE_BYTES + 1)
            if len(body) > RESPONSE_BYTES:
                raise Unavailable(f"returned more than {RESPONSE_BYTES >> 20} MiB")
            return json.loads(body)
        except (OSError, HTTPException, ValueError) as exc:
            raise Unavailable(f"did not respond: {mask_urls(str(exc))[:200]}") from exc

    return fetch


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unavailable("did not respond like OSV")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unavailable("did not respond like OSV")
    return value


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
