# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on all hosts, and where they differ: for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.plugin_utils.text_table import aligned, minute

NO_ANSWER = "no answer"
MARK = "*"
# a certificate that is valid for fewer days should have been renewed
RENEWAL_DAYS = 14
PACKAGES = ("fastapi", "uvicorn", "gunicorn")

Row = dict[str, Any]


def _package(name: str) -> Callable[[Row], Any]:
    return lambda row: (row.get("packages") or {}).get(name)


def _fingerprint(row: Row) -> Any:
    """Return what identifies a certificate that other hosts could have, too."""
    certificate = row.get("certificate") or {}
    return certificate.get("fingerprint") if certificate.get("shared") else None


# What should be the same on all hosts of an app; names as asgi_status_ignore has them.
ASPECTS: dict[str, Callable[[Row], Any]] = {
    "release": lambda row: row.get("release"),
    "state": lambda row: row.get("state"),
    "config": lambda row: row.get("config"),
    "workers": lambda row: row.get("workers"),
    "certificate": _fingerprint,
    "python": lambda row: row.get("python"),
    **{name: _package(name) for name in PACKAGES},
}


def rows(hosts: Iterable[str], found: Iterable[dict]) -> list[Row]:
    """Return one row for each app of each host, from what app_info returned for each host; one for a host that did not."""
    listed: list[Row] = []
    for host, answer in zip(hosts, found, strict=True):
        if "apps" in answer:
            listed += [{"host": host, **app} for app in answer["apps"]]
        else:
            listed.append({"host": host, "name": None, "state": NO_ANSWER})
    return listed


def differences(rows: Sequence[Row], ignore: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return in which aspects the hosts of each app differ, with who has which value.

    The ``odd`` hosts are those without the value that most have; all of them if no value is the most common one.
    """
    found = []
    for app in _apps(rows):
        its = [row for row in rows if row["name"] == app]
        for aspect, value_of in ASPECTS.items():
            values = {row["host"]: value_of(row) for row in its}
            # "shared" certificates only, and nothing of a host that has no site
            if aspect == "certificate":
                values = {host: value for host, value in values.items() if value is not None}
            counts = Counter(map(value_text, values.values()))
            if aspect in ignore or len(counts) < 2:
                continue
            (usual, most), (_second, next_most), *_others = counts.most_common()
            odd = [host for host, value in values.items() if most == next_most or value_text(value) != usual]
            holders: dict[str, list[str]] = {}
            for host, value in values.items():
                holders.setdefault(value_text(value), []).append(host)
            found.append({"app": app, "aspect": aspect, "values": holders, "odd": odd})
    return found


def troubles(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return what is amiss with single hosts, whatever the others are like."""
    found = []
    for row in rows:
        days = row.get("certificate_days")
        fault = ""
        if row["state"] == NO_ANSWER:
            fault = "did not answer"
        elif row["state"] != "active":
            fault = f"is {row['state']}"
        elif days is not None and days < RENEWAL_DAYS:
            fault = f"has a certificate that {'has expired' if days < 0 else f'expires in {_days(days)}'}"
        if fault:
            found.append({"host": row["host"], "app": row["name"] or "", "fault": fault})
    return found


def report(rows: Sequence[Row], ignore: Sequence[str] = ()) -> dict[str, Any]:
    """Return all there is to know, as programs get it."""
    differ, amiss = differences(rows, ignore), troubles(rows)
    return {"agree": not differ and not amiss, "differences": differ, "troubles": amiss, "apps": list(rows)}


def verdict(report: dict[str, Any]) -> str:
    """Return in one line whether all hosts agree."""
    hosts = len({row["host"] for row in report["apps"]})
    if report["agree"]:
        return f"{_hosts(hosts)}, all agree" if hosts > 1 else "nothing is amiss"
    parts = []
    for app in _apps(report["apps"]):
        aspects = [each["aspect"] for each in report["differences"] if each["app"] == app]
        if aspects:
            parts.append(f"{app} differs in {', '.join(aspects)}")
    troubled = list(dict.fromkeys(each["host"] for each in report["troubles"]))
    if troubled:
        parts.append(f"trouble on {', '.join(troubled)}")
    return f"{_hosts(hosts)}: {'; '.join(parts)}"


def as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, sort_keys=True)


def certificate_text(row: Row) -> str:
    days = row.get("certificate_days")
    if days is None:
        return "-"
    return "expired" if days < 0 else _days(days)


def holders(hosts: Sequence[str], most: int = 4) -> str:
    """Return *hosts* by name if they are few."""
    return ", ".join(hosts) if len(hosts) <= most else f"{len(hosts)} hosts"


COLUMNS: dict[str, tuple[str, Callable[[Row], str]]] = {
    # heading: the aspect that is marked there, and the text
    "host": ("", lambda row: row["host"]),
    "app": ("", lambda row: row["name"] or "-"),
    "slot": ("", lambda row: row.get("slot") or "-"),
    "release": ("release", lambda row: row.get("release") or "-"),
    "state": ("state", lambda row: row.get("state") or "-"),
    "workers": ("workers", lambda row: str(row.get("workers", "-"))),
    "rollback to": ("", lambda row: row.get("previous") or "-"),
    "certificate": ("certificate", certificate_text),
    "since": ("", lambda row: minute(row.get("since"))),
    "config": ("config", lambda row: row.get("config") or "-"),
    "python": ("python", lambda row: row.get("python") or "-"),
    **{name: (name, lambda row, name=name: _package(name)(row) or "-") for name in PACKAGES},
    "why so many workers": ("", lambda row: row.get("plan") or "-"),
}


def as_table(report: dict[str, Any]) -> str:
    """Return an aligned table of text, what differs marked, and below it who has what."""
    listed = report["apps"]
    if not listed:
        return "no app is deployed on these hosts"
    odd = marks(report)
    lines = [tuple(COLUMNS)]
    for row in listed:
        cells = [
            text(row) + (MARK if (row["name"], row["host"], aspect) in odd else "") for aspect, text in COLUMNS.values()
        ]
        lines.append(tuple(cells))
    told = aligned(lines)
    for each in report["differences"]:
        held = [f"{value} on {holders(hosts)}" for value, hosts in each["values"].items()]
        told.append(f"{MARK} {each['app']} {each['aspect']}: {'; '.join(held)}")
    told += [
        f"! {' '.join(filter(None, (each['app'], 'on', each['host'])))} {each['fault']}" for each in report["troubles"]
    ]
    return "\n".join([*told, "", verdict(report)])


def marks(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return app, host and aspect of everything that differs from what most hosts have."""
    return {(each["app"], host, each["aspect"]) for each in report["differences"] for host in each["odd"]}


def _apps(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["name"] for row in rows if row["name"]))


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def value_text(value: Any) -> str:
    """Return *value* of an aspect as people are told it."""
    return "none" if value is None else str(value)
