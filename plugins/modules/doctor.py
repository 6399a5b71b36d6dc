#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe everything about an app on a host that could be amiss; what it means is told by the action plugin beside it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Say what is amiss with an app on a host, and what to do about it
version_added: 0.1.0
description:
  - Reads units, sockets, files, certificate, disk, clock, queues, workers, release log and locks of an app, asks the app
    and its site for their health, and has nginx test a private copy of its configuration. Changes nothing.
  - Does not fail because something is amiss. C(doctor.yml) does.
options:
  name:
    description: Name of the app.
    type: str
    required: true
  site:
    description: Where the proxy on this host serves the app. Left out, the proxy is not asked.
    type: dict
    suboptions:
      host:
        description: Server name of the site.
        type: str
        required: true
      port:
        description: HTTPS port of the site.
        type: int
        required: true
  expected:
    description: What the inventory says, for what is to be compared with it. What is left out is not compared.
    type: dict
    suboptions:
      server_names:
        description: The names that the certificate has to be for.
        type: list
        elements: str
      keep_releases:
        description: How many releases are kept.
        type: int
      workers:
        description: V(auto), or a number of workers that the user has chosen.
        type: raw
      plan:
        description: What P(asgi.deploy.worker_plan#filter) gives for V(auto).
        type: dict
      drift:
        description: Results of modules that ran in check mode with what the inventory says, by what they are about.
        type: dict
attributes:
  check_mode:
    description: Reads in any case.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
seealso:
  - plugin: asgi.deploy.doctor_report
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Examine the app
  asgi.deploy.doctor:
    name: hello
    site:
      host: hello.example.org
      port: 443
  register: found

- name: Show what is amiss
  ansible.builtin.debug:
    msg: "{{ found.verdicts | rejectattr('verdict', 'eq', 'ok') }}"
"""

RETURN = r"""
verdicts:
  description: One entry for each thing that is amiss, and one for each check that found nothing.
  type: list
  elements: dict
  returned: success
  contains:
    check:
      description: Name of the check.
      type: str
    verdict:
      description:
        - V(ok), V(warn) for what a person should look at, or V(fail) for what loses requests, now or at the next reboot,
          deploy or renewal.
      type: str
    found:
      description: What is amiss; empty if nothing is.
      type: str
    remedy:
      description: What to do about it.
      type: str
observations:
  description: What the verdicts were made of. The keys may change from version to version.
  type: dict
  returned: success
"""

import os
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils import examination as look
from ansible_collections.asgi.deploy.plugins.module_utils.capacity import capacity, live_plan, measured_memory
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_link, read_text
from ansible_collections.asgi.deploy.plugins.module_utils.layout import TRIAL, layout, release_paths
from ansible_collections.asgi.deploy.plugins.module_utils.nginx_copy import try_copy
from ansible_collections.asgi.deploy.plugins.module_utils.nginx_site import warnings
from ansible_collections.asgi.deploy.plugins.module_utils.probe import ask_proxy, wait_healthy
from ansible_collections.asgi.deploy.plugins.module_utils.site_certificate import certificate_path, read_certificate
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.asgi.deploy.plugins.module_utils.workers import serving

NGINX_LOCK = "/run/asgi-nginx.lock"
NGINX = Path("/etc/nginx")
LOGS = Path("/var/log/nginx")

PROBE_SECONDS = 5
# A worker that is being replaced is there twice for a moment.
SETTLING_SECONDS = 5


class Patient:
    """One app on this host."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        self.module = module
        self.run = module.run_command
        self.paths = layout(name)
        self.systemd = Systemd(module.run_command)
        self.app = App(self.paths, self.systemd, dry=True)
        state = self.app.state()
        self.live, self.pairs = state.live, state.pairs
        self.its = self.paths["slots"][self.live] if self.live else None
        self.service = state.units[self.its["service_unit"]] if self.its else None
        self.pair = state.live_pair
        self.site = read_text(self.paths["nginx_site"])

    def observe(self) -> dict:
        found = {
            "name": self.paths["name"],
            "user": self.paths["user"],
            "live": self.live,
            "pairs": {slot: pair._asdict() if pair else None for slot, pair in self.pairs.items()},
            "on_disk": {slot: bool(pair and self.app.on_disk(pair)) for slot, pair in self.pairs.items()},
            "links": {name: read_link(self.paths[name]) for name in ("live_socket", "staged", "current")},
            "tmpfiles": read_text(self.paths["tmpfiles"]),
            "log": look.entries(read_text(self.paths["log"])),
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
        }
        names = [slot[unit] for slot in self.paths["slots"].values() for unit in ("service_unit", "socket_unit")]
        timers = look.timers(self.paths["name"], renews=os.path.exists(self.paths["acme"]["renewal"]["hook"]))
        found["timers"] = timers
        metrics = (
            [os.path.basename(self.paths["metrics_socket"])] if os.path.exists(self.paths["metrics_socket"]) else []
        )
        found["metrics"] = metrics
        found["units"] = look.units(self.run, [*names, "nginx.service", *timers, *metrics])
        if self.pair:
            found["running"] = self._running(found["units"])
        return found

    def _running(self, units: dict) -> dict:
        """Return what there is to see of the live slot."""
        config = self.app.config_files(self.pair)
        release = release_paths(self.paths["name"], self.pair.release)
        certificate = certificate_path(self.site)
        gunicorn = look.assignments(config.get("gunicorn.conf.py") or config.get("uvicorn.conf.py"))
        return {
            "gunicorn": gunicorn,
            "settings": look.setting_names(config.get("service.conf")),
            "unit_as_configured": read_text(self.paths["service_template"]) == config.get("service.unit"),
            "drop_in_as_configured": read_text(self.its["drop_in"]) == config.get("service.conf"),
            "misread": self.systemd.misread(self.its["service_unit"], self.its["drop_in"]),
            "plan": live_plan(self.paths["name"]),
            "workers": self._workers(gunicorn.get("workers")),
            "queue": self._queue(),
            "somaxconn": int(read_text("/proc/sys/net/core/somaxconn") or 0),
            "tcp": look.tcp_drops(read_text("/proc/net/netstat"), read_text("/proc/net/snmp")),
            "queue_full": look.queue_full(str(LOGS / f"{self.paths['name']}.error.log")),
            "health": self._health(units[self.its["service_unit"]]["active"] == "active"),
            "python": look.pythons(release),
            "disk": look.disk(self.paths["home"], release["directory"]),
            "modes": {path: look.mode(path) for path in self._guarded()},
            "site": {
                "keepalive_timeout": look.directive_seconds(self.site, "keepalive_timeout"),
                "read_timeout": look.directive_seconds(self.site, "proxy_read_timeout"),
            },
            "certificate": {
                "path": certificate,
                "mode": look.mode(certificate) if certificate else None,
                "read": read_certificate(self.run, certificate, time.time()),
            },
        }

    def _guarded(self) -> list:
        """Return the paths whose permissions matter, beside the certificate."""
        return [
            self.its["socket"],
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

    def _queue(self) -> dict | None:
        ss = self.module.get_bin_path("ss", opt_dirs=["/usr/bin", "/usr/sbin", "/sbin"])
        if not ss:
            return None
        _status, out, _err = self.run([ss, "--no-header", "--unix", "--listening", "--numeric"])
        return look.queue(out, self.its["socket"])

    def _health(self, runs: bool) -> dict:
        """Return what is wrong with the answers of the app and of its site; "" for nothing, None for not asked.

        A service that does not run is not asked: through its socket, the question would start it.
        """
        if not runs:
            return {"socket": None, "site": None}
        try:
            probe = self.app.probe_of(self.pair)._replace(successes=1, deadline=0, timeout=PROBE_SECONDS)
        except (KeyError, TypeError, ValueError):
            return {"socket": None, "site": None}
        found = {"socket": self.app.hide(wait_healthy(self.paths["live_socket"], probe), self.pair), "site": None}
        site = self.module.params["site"]
        if site and self.site is not None:
            where = f"https://{site['host']}:{site['port']}"
            answer = wait_healthy(where, probe, ask=lambda _url, probe: ask_proxy(site["host"], site["port"], probe))
            found["site"] = self.app.hide(answer, self.pair)
        return found

    def _nginx(self) -> dict:
        nginx = self.module.get_bin_path("nginx", opt_dirs=["/usr/sbin"])
        if not nginx or not NGINX.is_dir():
            return {"there": False}
        with tempfile.TemporaryDirectory(dir=self.module.tmpdir) as directory:
            status, said = try_copy(self.run, nginx, Path(directory), NGINX, LOGS, {})
        return {"there": True, "accepts": status == 0, "said": said, "warnings": warnings(said)}


SITE = {"host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
EXPECTED = {
    "server_names": {"type": "list", "elements": "str"},
    "keep_releases": {"type": "int"},
    "workers": {"type": "raw"},
    "plan": {"type": "dict"},
    "drift": {"type": "dict"},
}


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "site": {"type": "dict", "options": SITE},
            # stays on the controller, see plugins/action/doctor.py
            "expected": {"type": "dict", "options": EXPECTED},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, observations=Patient(module, module.params["name"]).observe())
    except (ValueError, SystemdError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
