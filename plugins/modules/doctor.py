#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect observations about an app on a host; the action plugin of the same name evaluates them on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Diagnose an app on a host
version_added: 1.0.0
description:
  - Examines the units, sockets, files, certificate, disk, clock, queues, workers, release log and locks of an app, probes the health
    of the app and its site, and tests a private copy of nginx's configuration. Changes nothing.
  - Does not fail if it finds problems; C(doctor.yml) does.
options:
  expected:
    description: Values of the inventory to compare the host with.
    type: dict
    suboptions:
      server_names:
        description: The names that the certificate must cover.
        type: list
        elements: str
      keep_releases:
        description: Number of releases to keep.
        type: int
      workers:
        description: V(auto), or an explicit number of workers.
        type: raw
      plan:
        description: Result of P(asgi.deploy.worker_plan#filter) for V(auto).
        type: dict
      drift:
        description: Results of the roles' modules in check mode, by subject.
        type: dict
extends_documentation_fragment:
  - asgi.deploy.app
  - asgi.deploy.read_only
seealso:
  - module: asgi.deploy.fleet_report
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Diagnose the app
  asgi.deploy.doctor:
    name: hello
  register: found

- name: Print the problems
  ansible.builtin.debug:
    msg: "{{ found.verdicts | rejectattr('verdict', 'eq', 'ok') }}"
"""

RETURN = r"""
verdicts:
  description: One entry for each problem, and one for each check without problems.
  type: list
  elements: dict
  returned: success
  contains:
    check:
      description: Name of the check.
      type: str
    verdict:
      description: V(ok); V(warn) if a person should look at it; or V(fail) if requests are lost, now or with the next reboot,
        deploy or renewal.
      type: str
    code:
      description: Code of the problem; empty if there is none.
      type: str
    found:
      description: The problem, or what the check examined.
      type: str
    remedy:
      description: How to solve the problem; empty if there is none.
      type: str
observations:
  description: The observations on which the verdicts are based. The keys may change from version to version.
  type: dict
  returned: success
"""

import os
import tempfile
import time
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.module_utils._app import observations as look
from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.executable_memory import RECOGNISED, denials
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import other
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import serving
from ansible_collections.asgi.deploy.plugins.module_utils._app.write_faults import logged_write_faults, search_journal
from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import capacity, live_plan, measured_memory
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_link, read_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import NGINX_LOGS, TRIAL, release_paths
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import joined, open_connections
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_copy import try_copy
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_site import warnings
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_requests import Site
from ansible_collections.asgi.deploy.plugins.module_utils._tls.site_certificate import (
    certificate_path,
    describe_certificate,
)

NGINX_LOCK = "/run/asgi-nginx.lock"
NGINX = Path("/etc/nginx")
LOCATIONS = NGINX / "conf.d"
LOGS = Path(NGINX_LOGS)

PROBE_SECONDS = 5
# While a worker is being replaced, the number of workers differs from the configured number for a moment.
SETTLING_SECONDS = 5


class Observer:
    """Observes one app on this host."""

    def __init__(self, module: AppModule) -> None:
        self.module = module
        self.run = module.run_command
        self.paths, self.systemd, self.app = module.paths, module.systemd, module.app
        state = self.state = self.app.state()
        self.live, self.pairs = state.live, state.pairs
        self.slot = self.paths["slots"][self.live] if self.live else None
        self.service = state.units[self.slot["service_unit"]] if self.slot else None
        self.pair = state.live_pair
        self.site = read_text(self.paths["nginx_site"])
        self.place = joined.parse(self.site)
        if self.place:
            file = LOCATIONS / joined.file_name(self.paths["name"], self.place.name)
            self.site += read_text(str(file)) or ""

    def observe(self) -> dict:
        found = {
            "name": self.paths["name"],
            "user": self.paths["user"],
            "live": self.live,
            "pairs": {slot: pair._asdict() if pair else None for slot, pair in self.pairs.items()},
            "on_disk": {slot: bool(pair and self.app.on_disk(pair)) for slot, pair in self.pairs.items()},
            "links": {name: read_link(self.paths[name]) for name in ("live_socket", "staged", "current")},
            "tmpfiles": read_text(self.paths["tmpfiles"]),
            "log": look.entries(self.paths["log"]),
            "releases": look.releases(self.paths["releases"]),
            "leftovers": look.leftovers(self.paths["configs"]),
            "trial": os.path.lexists(self.paths[TRIAL]["directory"]),
            "locks": look.locks([self.paths["lock"], NGINX_LOCK]),
            "nginx": self._nginx(),
            "clock": {
                "synchronised": look.clock_synchronised(),
                "container": os.path.exists("/run/systemd/container"),
            },
            "capacity": capacity(self.paths["name"]),
            "processes": self._processes(),
        }
        names = [slot[unit] for slot in self.paths["slots"].values() for unit in ("service_unit", "socket_unit")]
        timers = look.timers(self.paths["name"], renews=os.path.exists(self.paths["acme"]["renewal"]["hook"]))
        found["timers"] = timers
        metrics = (
            [os.path.basename(self.paths["metrics_socket"])] if os.path.exists(self.paths["metrics_socket"]) else []
        )
        found["metrics"] = metrics
        found["units"] = look.units(self.run, [*names, "nginx.service", *timers, *metrics])
        found["proxy_connections"] = self._proxy_connections(found["units"].get("nginx.service", {}).get("main_pid", 0))
        if self.pair:
            found["running"] = self._running(found["units"])
        return found

    def _processes(self) -> dict:
        """Return the processes and timers of the live slot, whether they start at boot, and those that run in the other slot."""
        target = self.state.units.get(self.slot["target"]) if self.slot else None
        return {
            "live": self.app.process_report(self.live),
            "enabled": bool(target and target.enabled),
            "idle": self.app.stoppable(other(self.live), self.state.units) if self.live else [],
        }

    def _running(self, units: dict) -> dict:
        """Return the observations of the live slot."""
        config = self.app.config_files(self.pair)
        release = release_paths(self.paths["name"], self.pair.release)
        certificate = certificate_path(self.site)
        gunicorn = look.assignments(config.get("gunicorn.conf.py") or config.get("uvicorn.conf.py"))
        return {
            "gunicorn": gunicorn,
            "settings": look.setting_names(config.get("service.conf")),
            "unit_as_configured": read_text(self.paths["service_template"]) == config.get("service.unit"),
            "drop_in_as_configured": read_text(self.slot["drop_in"]) == config.get("service.conf"),
            "misread": self.systemd.misread(self.slot["service_unit"], self.slot["drop_in"]),
            "plan": live_plan(self.paths["name"]),
            "workers": self._workers(gunicorn.get("workers")),
            "connections": self._connections(),
            "queue": self._queue(),
            "somaxconn": int(read_text("/proc/sys/net/core/somaxconn") or 0),
            "tcp": look.tcp_drops(read_text("/proc/net/netstat"), read_text("/proc/net/snmp")),
            "queue_full": look.queue_full(self.paths["error_log"]),
            "denials": self._denials(),
            "write_faults": logged_write_faults(self.run, self.slot["service_unit"]),
            "health": self._health(units[self.slot["service_unit"]]["active"] == "active"),
            "python": look.pythons(release),
            "disk": look.disk(self.paths["home"], release["directory"]),
            "modes": {path: look.mode(path) for path in self._guarded()},
            "logs": {str(path): look.mode(str(path)) for path in sorted(LOGS.glob(f"{self.paths['name']}.*.log*"))},
            "site": {
                "keepalive_timeout": look.directive_seconds(self.site, "keepalive_timeout"),
                "read_timeout": look.directive_seconds(self.site, "proxy_read_timeout"),
            },
            "certificate": {
                "path": certificate,
                "of_another_app": bool(self.place),
                "mode": look.mode(certificate) if certificate else None,
                "directory": look.mode(os.path.dirname(certificate)) if certificate else None,
                "read": describe_certificate(self.run, certificate, time.time()),
            },
        }

    def _denials(self) -> list:
        """Return the errors in the journal of the live slot that executable memory would prevent."""
        logged = search_journal(self.run, self.slot["service_unit"], RECOGNISED)
        return denials(logged or "", read_text(self.slot["drop_in"]) or "")

    def _guarded(self) -> list:
        """Return the paths with restricted permissions, except the certificate."""
        return [
            self.slot["socket"],
            self.paths["run"],
            self.paths["releases"],
            self.paths["shared"],
            os.path.join(self.paths["configs"], self.pair.config),
            os.path.join(self.paths["configs"], self.pair.config, "env"),
        ]

    def _workers(self, wanted: int | None) -> dict:
        end = time.monotonic() + SETTLING_SECONDS
        workers = serving(self.service)
        while len(workers) != wanted and workers and time.monotonic() < end:
            time.sleep(0.5)
            workers = serving(self.service)
        return {"running": len(workers), "memory_mb": measured_memory(workers)}

    def _proxy_connections(self, main_pid: int) -> dict:
        logs = [
            str(LOGS / name) for log in ("error.log", f"{self.paths['name']}.error.log") for name in (log, f"{log}.1")
        ]
        return {
            **open_connections.proxy(main_pid, str(NGINX)),
            "refused": open_connections.refused(logs, open_connections.booted_at()),
        }

    def _connections(self) -> dict:
        units = [slot["service_unit"] for slot in self.paths["slots"].values()]
        return {
            **open_connections.process_files(serving(self.service)),
            "refused": open_connections.app_refused(self.run, units),
        }

    def _queue(self) -> dict | None:
        ss = self.module.get_bin_path("ss", opt_dirs=["/usr/bin", "/usr/sbin", "/sbin"])
        if not ss:
            return None
        _status, out, _err = self.run([ss, "--no-header", "--unix", "--listening", "--numeric"])
        return look.queue(out, self.slot["socket"])

    def _health(self, active: bool) -> dict:
        """Return the fault of the app on its socket ("" if it is healthy) and the observations of its site; None for each if not probed.

        An inactive service is not probed, because a request to its socket would start it.
        """
        if not active:
            return {"socket": None, "site": None}
        try:
            probe = self.app.probe_of(self.pair)._replace(successes=1, deadline=0, timeout=PROBE_SECONDS)
        except (KeyError, TypeError, ValueError):
            return {"socket": None, "site": None}
        socket = self.app.hide(wait_healthy(self.paths["live_socket"], probe), self.pair)
        return {"socket": socket, "site": Site(self.app, self.run, probe).observe()}

    def _nginx(self) -> dict:
        nginx = self.module.get_bin_path("nginx", opt_dirs=["/usr/sbin"])
        if not nginx or not NGINX.is_dir():
            return {"installed": False}
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            status, output = try_copy(self.run, nginx, Path(directory), NGINX, LOGS, {})
        return {"installed": True, "valid": status == 0, "output": output, "warnings": warnings(output)}


EXPECTED = {
    "server_names": {"type": "list", "elements": "str"},
    "keep_releases": {"type": "int"},
    "workers": {"type": "raw"},
    "plan": {"type": "dict"},
    "drift": {"type": "dict"},
}


def main():
    module = AppModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            # The action plugin removes this option before it runs the module.
            "expected": {"type": "dict", "options": EXPECTED},
        },
        read_only=True,
    )
    with module.reporting():
        observations = Observer(module).observe()
    module.exit_json(changed=False, observations=observations)


if __name__ == "__main__":
    main()
