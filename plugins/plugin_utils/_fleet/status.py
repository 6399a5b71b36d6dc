# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status report: the live releases of all hosts, and their differences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.asgi.deploy.plugins.module_utils._host.text_table import aligned, minute

NO_ANSWER = "no answer"
MARK = "*"
# a certificate that is valid for fewer days should have been renewed
RENEWAL_DAYS = 14
PACKAGES = ("fastapi", "uvicorn", "gunicorn")

Row = dict[str, Any]


def _package(name: str) -> Callable[[Row], Any]:
    return lambda row: (row.get("packages") or {}).get(name)


def _fingerprint(row: Row) -> Any:
    """Return the fingerprint of a certificate that several hosts must share; None for a certificate of a single host."""
    certificate = row.get("certificate") or {}
    return certificate.get("fingerprint") if certificate.get("shared") else None


# Aspects that should be the same on all hosts of an app; asgi_status_ignore uses these names.
ASPECTS: dict[str, Callable[[Row], Any]] = {
    "release": lambda row: row.get("release"),
    "state": lambda row: row.get("state"),
    # processes and timers may run on the first host only
    "config": lambda row: row.get("common_config", row.get("config")),
    "workers": lambda row: row.get("workers"),
    "certificate": _fingerprint,
    "python": lambda row: row.get("python"),
    **{name: _package(name) for name in PACKAGES},
}


def rows(hosts: Iterable[str], results: Iterable[dict], machines: Mapping[str, Hashable] | None = None) -> list[Row]:
    """Return one row for each app of each machine from the results of app_info, and one for each host without a result.

    *machines* maps each host to an identifier of its machine. In a row, ``machine`` is the first inventory name of the machine. Each app
    of a machine is listed once, even if the machine has several inventory names.
    """
    listed: list[Row] = []
    first_names: dict[Hashable, str] = {}
    reported: set[tuple[str, str]] = set()
    for host, result in zip(hosts, results, strict=True):
        machine = first_names.setdefault((machines or {}).get(host, host), host)
        if "apps" not in result:
            listed.append({"host": host, "machine": machine, "name": None, "state": NO_ANSWER})
            continue
        apps = [app for app in result["apps"] if (machine, app["name"]) not in reported]
        reported |= {(machine, app["name"]) for app in apps}
        # status.yml writes software bills of materials to separate files.
        shown = [{key: value for key, value in app.items() if key != "sbom"} for app in apps]
        listed += [{"host": host, "machine": machine, **app} for app in shown]
    return listed


def machine_count(rows: Iterable[Row]) -> str:
    """Return the number of machines in *rows* as text."""
    count = len({row["machine"] for row in rows})
    return "1 host" if count == 1 else f"{count} hosts"


def differences(rows: Sequence[Row], ignore: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the aspects in which the hosts of each app differ, with the hosts of each value.

    The ``odd`` hosts are those without the most common value; all hosts if several values are equally common.
    """
    found = []
    for app in _apps(rows):
        of_app = [row for row in rows if row["name"] == app]
        for aspect, value_of in ASPECTS.items():
            values = {row["host"]: value_of(row) for row in of_app}
            # hosts without a site, or with their own certificate, are not compared
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
    """Return the problems of single hosts."""
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
        fault = "; ".join(filter(None, (fault, *process_faults(row))))
        if row.get("log_fault"):
            fault = "; ".join(filter(None, (fault, f"cannot be rolled back: {row['log_fault']}")))
        if fault:
            found.append({"host": row["host"], "app": row["name"] or "", "fault": fault})
    return found


def process_faults(row: Row) -> list[str]:
    """Return the problems of the processes and timers in *row*."""
    found = []
    for each in row.get("processes") or []:
        if each["loops"]:
            found.append(f"restarts {each['unit']} in a loop")
        elif each["state"] != "active":
            found.append(f"has {each['unit']} {each['state']}")
        elif each["kind"] == "timer" and each["result"] not in ("success", ""):
            found.append(f"has a failed run of the timer {each['name']} ({each['result']})")
    return found


def report(rows: Sequence[Row], ignore: Sequence[str] = ()) -> dict[str, Any]:
    """Return the complete report, as in the JSON format."""
    differ, problems = differences(rows, ignore), troubles(rows)
    return {"agree": not differ and not problems, "differences": differ, "troubles": problems, "apps": list(rows)}


def verdict(report: dict[str, Any]) -> str:
    """Return one line that summarises whether all hosts agree."""
    hosts = machine_count(report["apps"])
    if report["agree"]:
        return f"{hosts}, all agree" if len({row["machine"] for row in report["apps"]}) > 1 else "no problems found"
    parts = []
    for app in _apps(report["apps"]):
        aspects = [each["aspect"] for each in report["differences"] if each["app"] == app]
        if aspects:
            parts.append(f"{app} differs in {', '.join(aspects)}")
    troubled = list(dict.fromkeys(each["host"] for each in report["troubles"]))
    if troubled:
        parts.append(f"problems on {', '.join(troubled)}")
    return f"{hosts}: {'; '.join(parts)}"


def problem_hosts(report: dict[str, Any]) -> list[str]:
    """Return the hosts that differ from the others or have a problem."""
    odd = [host for each in report["differences"] for host in each["odd"]]
    return list(dict.fromkeys([*odd, *(each["host"] for each in report["troubles"])]))


def as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, sort_keys=True)


def certificate_text(row: Row) -> str:
    days = row.get("certificate_days")
    if days is None:
        return "-"
    return "expired" if days < 0 else _days(days)


def connections_text(row: Row) -> str:
    found = row.get("connections")
    return f"{found['used']} of {found['limit']}" if found else "-"


def processes_text(row: Row) -> str:
    """Return how many of the processes and timers run."""
    found = row.get("processes")
    return f"{sum(each['state'] == 'active' for each in found)} of {len(found)}" if found else "-"


def holders(hosts: Sequence[str], most: int = 4) -> str:
    """Return the names of *hosts*, or their number if they are many."""
    return ", ".join(hosts) if len(hosts) <= most else f"{len(hosts)} hosts"


COLUMNS: dict[str, tuple[str, Callable[[Row], str]]] = {
    # heading: the aspect whose differences the column marks, and a function that returns the text of a row
    "host": ("", lambda row: row["host"]),
    "app": ("", lambda row: row["name"] or "-"),
    "slot": ("", lambda row: row.get("slot") or "-"),
    "release": ("release", lambda row: row.get("release") or "-"),
    "state": ("state", lambda row: row.get("state") or "-"),
    "workers": ("workers", lambda row: str(row.get("workers", "-"))),
    "processes": ("", processes_text),
    "connections": ("", connections_text),
    "rollback to": ("", lambda row: row.get("previous") or "-"),
    "certificate": ("certificate", certificate_text),
    "since": ("", lambda row: minute(row.get("since"))),
    "config": ("config", lambda row: row.get("config") or "-"),
    "python": ("python", lambda row: row.get("python") or "-"),
    **{name: (name, lambda row, name=name: _package(name)(row) or "-") for name in PACKAGES},
    "worker plan": ("", lambda row: row.get("plan") or "-"),
}


def columns(rows: Iterable[Row]) -> dict[str, tuple[str, Callable[[Row], str]]]:
    """Return the columns for *rows*, without that of the processes if no app has any."""
    hidden = set() if any(row.get("processes") for row in rows) else {"processes"}
    return {name: column for name, column in COLUMNS.items() if name not in hidden}


def as_table(report: dict[str, Any]) -> str:
    """Return a text table that marks differences, followed by the hosts with each value."""
    listed = report["apps"]
    if not listed:
        return "no app is deployed on these hosts"
    odd = marks(report)
    shown = columns(listed)
    lines = [tuple(shown)]
    for row in listed:
        cells = [
            text(row) + (MARK if (row["name"], row["host"], aspect) in odd else "") for aspect, text in shown.values()
        ]
        lines.append(tuple(cells))
    output = aligned(lines)
    for each in report["differences"]:
        values = [f"{value} on {holders(hosts)}" for value, hosts in each["values"].items()]
        output.append(f"{MARK} {each['app']} {each['aspect']}: {'; '.join(values)}")
    output += [
        f"! {' '.join(filter(None, (each['app'], 'on', each['host'])))} {each['fault']}" for each in report["troubles"]
    ]
    return "\n".join([*output, "", verdict(report)])


def marks(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return app, host and aspect of each value that differs from the most common one."""
    return {(each["app"], host, each["aspect"]) for each in report["differences"] for host in each["odd"]}


def _apps(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["name"] for row in rows if row["name"]))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def value_text(value: Any) -> str:
    """Return the *value* of an aspect as text."""
    return "none" if value is None else str(value)
