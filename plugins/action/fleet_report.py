# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a report on all hosts of a play."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._doctor import report as doctor
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet import deploy, maintenance, releases, site, status
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import machine_of
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.play_action import PlayAction
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status_page import as_page
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure

FORMATS = {
    "deploy": ("table",),
    "doctor": ("table", "json"),
    "maintenance": ("table",),
    "releases": ("table", "json"),
    "site": ("table",),
    "status": ("table", "json", "html"),
}
# kinds of reports that include the hosts that have left the play
ALL_HOSTS = ("deploy", "maintenance", "status")


def _deploy(hosts, hostvars, options):
    unreachable, failed, max_failures = options["unreachable"], options["failed"], options["max_failures"]
    results = [deploy.host_result(host, hostvars[host], unreachable, failed) for host in hosts]
    wanted = [result["wanted"] for result in results if result["wanted"]]
    stopped = len(unreachable) + len(failed) > max_failures
    text = deploy.deploy_summary(deploy.deploy_rows(results), wanted, stopped, max_failures)
    return {"reports": {"table": printable(text)}}


def _doctor(hosts, hostvars, options):
    [register] = options["registers"]
    rows = doctor.rows(hosts, printable([hostvars[host][register] for host in hosts]))
    render = {"table": doctor.as_table, "json": doctor.as_json}
    return {"reports": {name: render[name](rows) for name in options["formats"]}}


def _maintenance(hosts, hostvars, options):
    results = {
        host: maintenance.host_result(
            host, hostvars[host], options["unreachable"], options["failed"], options["check_mode"]
        )
        for host in hosts
    }
    rows = maintenance.maintenance_rows(options["plan"], options["balancers"], results)
    return {"reports": {"table": printable(maintenance.maintenance_summary(rows))}}


def _releases(hosts, hostvars, options):
    [register] = options["registers"]
    rows = list(releases.rows(hosts, printable([hostvars[host].get(register) or {} for host in hosts])))
    render = {"table": releases.as_table, "json": releases.as_json}
    return {"reports": {name: render[name](rows) for name in options["formats"]}}


def _site(hosts, hostvars, options):
    results = {host: printable([hostvars[host].get(name) or {} for name in options["registers"]]) for host in hosts}
    return {"reports": {"table": "\n".join(site.site_summary([site.site_row(host, results[host]) for host in hosts]))}}


def _status(hosts, hostvars, options):
    [register] = options["registers"]
    results = printable([hostvars[host].get(register) or {} for host in hosts])
    machines = {host: machine_of(host, hostvars[host]) for host in hosts}
    report = status.report(status.rows(hosts, results, machines), options["ignore"])
    render = {"table": status.as_table, "json": status.as_json, "html": _page}
    return {
        "reports": {name: render[name](report) for name in options["formats"]},
        "verdict": status.verdict(report),
        "problem_hosts": status.problem_hosts(report),
    }


def _page(report):
    return as_page(report, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))


KINDS = {
    "deploy": _deploy,
    "doctor": _doctor,
    "maintenance": _maintenance,
    "releases": _releases,
    "site": _site,
    "status": _status,
}


class ActionModule(PlayAction):
    ARGUMENTS: ClassVar = {
        "kind": {"type": "str", "required": True, "choices": list(KINDS)},
        "registers": {"type": "list", "elements": "str", "default": []},
        "formats": {"type": "list", "elements": "str", "default": ["table"]},
        "ignore": {"type": "list", "elements": "str", "choices": list(status.ASPECTS), "default": []},
        "unreachable": {"type": "list", "elements": "str", "default": []},
        "failed": {"type": "list", "elements": "str", "default": []},
        "max_failures": {"type": "int", "default": 0},
        "plan": {"type": "dict"},
        "balancers": {"type": "dict", "default": {}},
    }
    REQUIRED_IF: ClassVar = [
        ("kind", "doctor", ["registers"]),
        ("kind", "releases", ["registers"]),
        ("kind", "site", ["registers"]),
        ("kind", "status", ["registers"]),
        ("kind", "maintenance", ["plan"]),
    ]

    def compute(self, task_vars, options):
        kind = options["kind"]
        if unknown := [name for name in options["formats"] if name not in FORMATS[kind]]:
            raise ActionFailure(f"formats of {kind} contains {unknown[0]} -> use some of {', '.join(FORMATS[kind])}")
        hosts = task_vars["ansible_play_hosts_all" if kind in ALL_HOSTS else "ansible_play_hosts"]
        compiled = KINDS[kind](hosts, task_vars["hostvars"], {**options, "check_mode": self._task.check_mode})
        reports = {name: text.split("\n") for name, text in compiled.pop("reports").items()}
        return {"reports": reports, **compiled}
