# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a release with several numbers of workers, in the trial slot of its app."""

from __future__ import annotations

import glob
import grp
import http.client
import json
import os
import resource
import socket
import time

from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import SERVICE_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import Probe
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import TRIAL_MARK, App, other
from ansible_collections.asgi.deploy.plugins.module_utils._app.workers import children
from ansible_collections.asgi.deploy.plugins.module_utils._host.capacity import proportional_memory
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text, write_text
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import TRIAL
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_limits import limits
from ansible_collections.asgi.deploy.plugins.module_utils._tune.load_test import (
    Request,
    available_memory,
    cpu_seconds,
    in_order,
    last_lines,
    machine_seconds,
    parse_load,
    proxy_configuration,
    recent_requests,
    script,
    upstream_keepalive,
)

NGINX_CONF = "/etc/nginx/nginx.conf"

TRAFFIC_SECONDS = 60
PROXY_SECONDS = 10
# If the module cannot stop the units, systemd stops them this long after the expected end.
SPARE_SECONDS = 60
# A request without a response fails after this time.
RESPONSE_SECONDS = 10
# One thread of wrk generates more load than nginx and the app can handle on this number of CPUs.
CPUS_PER_THREAD = 4


class Refused(Reported):
    """The measurement is not possible; the message contains the reason and the remedy."""


def check_host(app: App, workers: int, worker_memory: int, with_traffic: bool) -> None:
    """Raise Refused if a deploy is in progress, if clients use the site, or if memory is short.

    *workers* is the largest number of workers to measure, *worker_memory* the memory of each in MiB.
    """
    state = app.state()
    for slot, expected in ((state.live, True), (other(state.live), False)):
        unit = state.units[app.paths["slots"][slot]["service_unit"]]
        if unit.running is not expected:
            raise Refused(
                f"{unit.name} is {unit.active}: a deploy is in progress or was interrupted -> run the deploy again first"
            )
    if not with_traffic:
        log = last_lines(app.paths["access_log"])
        count = recent_requests(log, time.time(), TRAFFIC_SECONDS)
        if count:
            raise Refused(
                f"this host has responded to at least {count} requests in the last minute, and clients and the measurement would "
                "compete for the CPU -> remove the host from the load balancer first, or pass -e asgi_tune_with_traffic=true"
            )
    needed, available = workers * worker_memory, available_memory(read_text("/proc/meminfo"))
    if needed > available:
        raise Refused(
            f"{workers} workers of {worker_memory} MiB need {needed} MiB, and {available} are available -> measure fewer workers "
            "(asgi_tune_workers)"
        )


class Trial:
    """Measures the candidates in the options of *module*, one after the other, in the trial slot of *app*."""

    def __init__(self, module, app: App, release: str) -> None:
        self.module = module
        self.options = module.params
        self.paths = app.paths
        self.systemd = app.systemd
        self.slot = app.paths[TRIAL]
        self.app = App({**app.paths, "slots": {TRIAL: self.slot}}, app.systemd)
        self.release = release
        self.probe = Probe.from_dict(self.options["probe"])
        self.request = Request(
            self.options["method"],
            self.options["path"] or self.probe.path,
            {"Host": self.probe.host, **json.loads(self.options["headers"] or "{}")},
            json.loads(self.options["body"] or '""'),
        )
        self.keepalive = upstream_keepalive(read_text(self.paths["nginx_site"]) or "", self.paths["name"])
        self.limits = limits(read_text(NGINX_CONF, errors="replace") or "")
        self.cpus = len(os.sched_getaffinity(0))
        self.port = 0
        self.tool: list = []
        self.measurements: list = []

    def plan(self) -> str:
        """Return a sentence that describes the measurement."""
        options = self.options
        each = options["warmup"] + options["seconds"]
        counts = [str(candidate["workers"]) for candidate in options["candidates"]]
        return (
            f"{self.request.method} {self.request.path} of release {self.release} with {', '.join(counts)} workers: "
            f"{options['connections']} connections, {options['warmup']} + {options['seconds']} s each, "
            f"{options['rounds']} times, at least {each * len(counts) * options['rounds']} s in total"
        )

    def load(self) -> dict:
        """Return a description of the load for the report."""
        names = ("connections", "seconds", "warmup", "rounds")
        return {
            **{name: self.options[name] for name in names},
            "tool": self.tool_version() if self.tool else "wrk",
            "method": self.request.method,
            "path": self.request.path,
            "keepalive": self.keepalive[0],
        }

    def run(self) -> None:
        """Measure every candidate, in as many rounds as the budget allows."""
        self.prepare()
        configs = {candidate["workers"]: candidate["files"] for candidate in self.options["candidates"]}
        began = time.monotonic()
        for number in range(self.options["rounds"]):
            before = time.monotonic()
            for workers in in_order(sorted(configs), number):
                if time.monotonic() - began > self.options["budget"]:
                    raise Refused(
                        f"the first round took longer than {self.options['budget']} s (asgi_tune_budget) -> measure fewer numbers of "
                        "workers (asgi_tune_workers), or each for a shorter time (asgi_tune_seconds)"
                    )
                figures = self.measure(configs[workers])
                self.measurements.append({"round": number, "workers": workers, **figures})
            if 2 * time.monotonic() - before - began > self.options["budget"]:
                break

    def prepare(self) -> None:
        """Create the slot's directory, and install the load tool and a proxy in it. Removing the directory cleans up everything."""
        directory = self.slot["directory"]
        os.makedirs(directory, mode=0o755)
        self.tool = self.find_tool(os.path.join(directory, "wrk"))
        write_text(os.path.join(directory, "load.lua"), script(self.request), mode=0o600)
        self.port = free_port()
        self.start_proxy(os.path.join(directory, "nginx"))

    def find_tool(self, directory: str) -> list:
        """Return the command of the host's wrk; if it is not installed, unpack Debian's packages of wrk into *directory* first."""
        found = self.module.get_bin_path("wrk")
        if found:
            return [found]
        archives = os.path.join(directory, "archives")
        os.makedirs(os.path.join(archives, "partial"))
        cache = f"Dir::Cache::archives={archives}/"
        options = ["--yes", "--no-install-recommends", "--download-only", "-o", cache]
        status, out, err = self.module.run_command(["apt-get", *options, "install", "wrk"])
        packages = glob.glob(os.path.join(archives, "*.deb"))
        if status or not packages:
            raise Refused(
                f"wrk is not installed, and its download failed -> run apt-get update, or install it: {err or out}"
            )
        for package in packages:
            self.module.run_command(["dpkg-deb", "--extract", package, directory], check_rc=True)
        libraries = glob.glob(os.path.join(directory, "usr/lib/*/"))
        return ["env", f"LD_LIBRARY_PATH={':'.join(libraries)}", os.path.join(directory, "usr/bin/wrk")]

    def tool_version(self) -> str:
        _status, out, _err = self.module.run_command([*self.tool, "-v"])
        return " ".join(out.split()[:2])

    def start_proxy(self, directory: str) -> None:
        nginx = self.module.get_bin_path("nginx")
        if not nginx:
            raise Refused("nginx is not installed on this host -> run site.yml first")
        os.makedirs(directory, mode=0o755)
        configuration = os.path.join(directory, "nginx.conf")
        write_text(
            configuration, proxy_configuration(directory, self.slot["socket"], self.port, self.keepalive, self.limits)
        )
        unit = f"--unit={self.paths['trial_proxy_unit']}"
        limit = f"--property=RuntimeMaxSec={self.options['budget'] + 2 * SPARE_SECONDS}"
        command = ["systemd-run", "--quiet", "--collect", unit, limit, nginx, "-c", configuration]
        self.module.run_command(command, check_rc=True)
        deadline = time.monotonic() + PROXY_SECONDS
        while not accepts_connections(self.port):
            if time.monotonic() > deadline:
                log = read_text(os.path.join(directory, "error.log")) or "no messages"
                raise Refused(f"the nginx for the measurement did not start; its error log: {log.strip()}")
            time.sleep(0.05)

    def measure(self, files: dict) -> dict:
        """Boot the slot with the configuration *files*, measure it under load and stop it; return the figures."""
        limit = self.options["warmup"] + self.options["seconds"] + SPARE_SECONDS
        trial = {
            **files,
            SERVICE_FILE: f"{TRIAL_MARK}{files[SERVICE_FILE]}\n[Service]\nRestart=no\nRuntimeMaxSec={limit}\n",
        }
        gid = grp.getgrnam(self.paths["group"]).gr_gid
        target = Pair(self.release, self.app.store_config(trial, gid=gid))
        self.app.prepare(TRIAL, target, self.app.state())
        self.app.boot(TRIAL, self.probe)
        if not self.measurements:
            self.check_response()
        began = time.time()
        if self.options["warmup"]:
            self.run_load(self.options["warmup"])
        pid, proxy = self.main_pid(self.slot["service_unit"]), self.main_pid(self.paths["trial_proxy_unit"])
        processes = {"app": {pid, *children(pid)}, "nginx": children(proxy)}
        before, clock = self.cpu_times(processes), time.monotonic()
        figures = self.run_load(self.options["seconds"])
        after, clock = self.cpu_times(processes), time.monotonic() - clock
        if self.main_pid(self.slot["service_unit"]) != pid:
            raise self.app.failure(TRIAL, f"{self.slot['service_unit']} ended under load", began)
        sizes = [proportional_memory(process) or 0 for process in (pid, *children(pid))]
        self.systemd.stop(self.slot["socket_unit"], self.slot["service_unit"])
        return {
            **figures,
            "cpu": {name: round(max(after[name] - before[name], 0) / clock, 2) for name in after},
            "worker_mb": max(sizes[1:], default=0),
            "slot_mb": sum(sizes),
        }

    def check_response(self) -> None:
        """Raise Refused unless the response to the request is successful. Redirects are refused, because they do not measure the app."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=RESPONSE_SECONDS)
        try:
            connection.request(self.request.method, self.request.path, self.request.body or None, self.request.headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            raise Refused(f"{self.request.method} {self.request.path} got no response: {exc}") from exc
        finally:
            connection.close()
        healthy = self.request.path == self.probe.path and status in self.probe.statuses
        if not healthy and not 200 <= status < 300:
            raise Refused(
                f"the response to {self.request.method} {self.request.path} has the status {status} -> set asgi_tune_path to a path "
                "with the status 200, and asgi_tune_headers to the headers that it needs"
            )

    def run_load(self, seconds: int) -> dict:
        """Send requests for *seconds* and return wrk's figures."""
        threads = min(max(self.cpus // CPUS_PER_THREAD, 1), self.options["connections"])
        command = [*self.tool, "-t", str(threads), "-c", str(self.options["connections"]), "-d", f"{seconds}s"]
        command += ["--timeout", f"{RESPONSE_SECONDS}s", "-s", os.path.join(self.slot["directory"], "load.lua")]
        status, out, err = self.module.run_command([*command, f"http://127.0.0.1:{self.port}{self.request.path}"])
        try:
            return parse_load(out)
        except ValueError as exc:
            raise Refused(f"{exc} (status {status}) {err}".strip()) from exc

    def main_pid(self, unit: str) -> int:
        return self.systemd.show(unit)[unit].main_pid

    def cpu_times(self, processes: dict) -> dict:
        """Return the CPU seconds used so far by each group in *processes*, by wrk (``load``) and by the whole machine."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            **{name: cpu_seconds(pids) for name, pids in processes.items()},
            "load": usage.ru_utime + usage.ru_stime,
            "machine": machine_seconds(read_text("/proc/stat")),
        }


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
