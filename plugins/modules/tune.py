#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a release with several numbers of workers, beside what is live."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tune
short_description: Measure a release with several numbers of workers
version_added: 0.1.0
description:
  - Boots a release with each of several configurations in a third slot of the app, V(trial), which never gets traffic, and drives
    load at it with C(wrk), through an nginx of its own on a port of the loopback address.
  - That nginx connects to the slot as the site does, with the same number of idle connections. It has neither TLS nor a log.
  - Neither the two slots of the app nor the site's nginx are touched. CPU and memory of the host are shared, though.
  - C(wrk) is taken from the host, or else from Debian's packages, which are unpacked into the slot and not installed.
  - When it ends, be it by an error, by a signal or because the controller has gone, all that it has put on the host is
    removed. What is left when the process itself is killed stops after a time, and is removed by the next M(asgi.deploy.tune),
    M(asgi.deploy.activate) or M(asgi.deploy.deactivate).
  - Holds the app's lock, so that nobody deploys meanwhile.
options:
  name:
    description: Name of the app. A release of it must be live.
    type: str
    required: true
  release:
    description: Id of the release to measure, or V(staged) for the one that was staged last. By default the live one.
    type: str
  candidates:
    description: What to measure.
    type: list
    elements: dict
    required: true
    suboptions:
      workers:
        description: Number of workers in the configuration.
        type: int
        required: true
      files:
        description: Texts of the configuration, by name, as M(asgi.deploy.activate) takes them.
        type: dict
        required: true
  environment:
    description: Environment of the app, as M(asgi.deploy.activate) takes it.
    type: json
  path:
    description: Path to send requests to, with its query. By default that of the probe.
    type: str
  method:
    description: Method of the requests. What is not V(GET) or V(HEAD) may change the app's data.
    type: str
    default: GET
  headers:
    description: Further headers of the requests.
    type: json
  body:
    description:
      - Body of the requests, as the text of a JSON string, so that Ansible takes the whole for the secret and does not hide a
        short body wherever it occurs in the figures. There is none if it is not given.
    type: json
  connections:
    description: Number of clients, each of which sends its next request when it has the answer to the last.
    type: int
    default: 64
  seconds:
    description: Seconds to measure each candidate in each round.
    type: int
    default: 5
  warmup:
    description: Seconds of load before each measurement, which do not count.
    type: int
    default: 2
  rounds:
    description: How often to go through the candidates, up and down in turn.
    type: int
    default: 3
  budget:
    description: Seconds after which no further round is begun, and the first one is given up.
    type: int
    default: 600
  worker_memory:
    description: MiB to count for a worker when asking whether the host has the memory.
    type: int
    default: 128
  with_traffic:
    description: Measure although clients have asked the site for something within the last minute.
    type: bool
    default: false
  by:
    description: Who measures, for others who find the app locked.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.probe
attributes:
  check_mode:
    description: Says what would be measured, and refuses what it would refuse.
    support: full
  diff_mode:
    description: Leaves nothing changed.
    support: none
seealso:
  - plugin: asgi.deploy.tune_report
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Measure the live release with one and with two workers
  asgi.deploy.tune:
    name: hello
    candidates:
      - {workers: 1, files: "{{ one_worker }}"}
      - {workers: 2, files: "{{ two_workers }}"}
    environment: "{{ asgi_env | to_json }}"
    probe: {path: /health, host: hello.example.org, statuses: [200], successes: 1, timeout: 5, deadline: 30}
"""

RETURN = r"""
plan:
  description: What is measured, or would be in check mode, in a sentence.
  type: str
  returned: always
release:
  description: Id of the release that was measured.
  type: str
  returned: success
load:
  description: The load; C(tool), C(method), C(path), C(connections), C(seconds), C(warmup), C(rounds) and C(keepalive), which is the
    number of idle connections that each worker of nginx keeps to the app.
  type: dict
  returned: success
machine:
  description: C(cpus) and C(memory_mb) of the host.
  type: dict
  returned: success
measurements:
  description: What was measured, in the order of time.
  type: list
  elements: dict
  returned: always
  contains:
    round:
      description: Number of the round, from 0.
      type: int
    workers:
      description: Number of workers.
      type: int
    requests:
      description: Requests that were answered.
      type: int
    throughput:
      description: Requests a second.
      type: float
    p50_ms:
      description: Half of the answers took no longer, in milliseconds. So are C(p90_ms), C(p99_ms) and C(max_ms).
      type: float
    errors:
      description: Requests that failed, by kind; C(status) are answers of 400 and more.
      type: dict
    cpu:
      description: CPUs in use on average, by the C(app), by C(nginx), by the load tool (C(load)) and by the whole C(machine).
      type: dict
    worker_mb:
      description: Memory of the largest worker in MiB, with its share of what the workers have in common (PSS).
      type: int
    slot_mb:
      description: Memory of all workers and the master together, in MiB.
      type: int
"""

import glob
import grp
import http.client
import json
import os
import resource
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.asgi.deploy.plugins.module_utils.capacity import proportional_memory
from ansible_collections.asgi.deploy.plugins.module_utils.environment import (
    app_environment,
    check_environment,
    render_environment,
)
from ansible_collections.asgi.deploy.plugins.module_utils.files import read_text, write_text
from ansible_collections.asgi.deploy.plugins.module_utils.interruption import Interrupted, interruptible
from ansible_collections.asgi.deploy.plugins.module_utils.layout import TRIAL, layout
from ansible_collections.asgi.deploy.plugins.module_utils.probe import PROBE_OPTIONS, Probe
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import Pair
from ansible_collections.asgi.deploy.plugins.module_utils.slots import (
    ENV_FILE,
    PROBE_FILE,
    SERVICE_FILE,
    TRIAL_MARK,
    ActivationError,
    App,
    Locked,
    other,
)
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Systemd, SystemdError
from ansible_collections.asgi.deploy.plugins.module_utils.trial import (
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
from ansible_collections.asgi.deploy.plugins.module_utils.workers import children

TRAFFIC_SECONDS = 60
PROXY_SECONDS = 10
# what a unit may run beyond what it is needed for, when nobody is left to stop it
SPARE_SECONDS = 60
# of wrk, beyond which a request has failed
ANSWER_SECONDS = 10
# one thread of wrk sends more than so many CPUs answer, nginx's included
CPUS_PER_THREAD = 4


class Refused(Exception):
    """It cannot be measured; the message says why and what to do."""


class Trial:
    """Boots candidates in the trial slot of *app*, one after the other, and drives load at them."""

    def __init__(self, module, app, release):
        self.module = module
        self.options = module.params
        self.paths = app.paths
        self.systemd = app.systemd
        self.its = app.paths[TRIAL]
        self.app = App({**app.paths, "slots": {TRIAL: self.its}}, app.systemd)
        self.release = release
        self.probe = Probe.from_dict(self.options["probe"])
        self.request = Request(
            self.options["method"],
            self.options["path"] or self.probe.path,
            {"Host": self.probe.host, **json.loads(self.options["headers"] or "{}")},
            json.loads(self.options["body"] or '""'),
        )
        self.keepalive = upstream_keepalive(read_text(self.paths["nginx_site"]) or "", self.paths["name"])
        self.cpus = len(os.sched_getaffinity(0))
        self.port = 0
        self.tool = []
        self.measurements = []

    # ---- what is to be done

    def plan(self):
        """Return what will be measured as a sentence."""
        options = self.options
        each = options["warmup"] + options["seconds"]
        counts = [str(candidate["workers"]) for candidate in options["candidates"]]
        return (
            f"{self.request.method} {self.request.path} of release {self.release} with {', '.join(counts)} workers: "
            f"{options['connections']} connections, {options['warmup']} + {options['seconds']} s each, "
            f"{options['rounds']} times, at least {each * len(counts) * options['rounds']} s in all"
        )

    def load(self):
        """Return how the load is made, for the report."""
        names = ("connections", "seconds", "warmup", "rounds")
        return {
            **{name: self.options[name] for name in names},
            "tool": self.version() if self.tool else "wrk",
            "method": self.request.method,
            "path": self.request.path,
            "keepalive": self.keepalive[0],
        }

    # ---- doing it

    def run(self):
        """Measure every candidate in every round that there is time for."""
        self.prepare()
        configs = {candidate["workers"]: candidate["files"] for candidate in self.options["candidates"]}
        began = time.monotonic()
        for number in range(self.options["rounds"]):
            before = time.monotonic()
            for workers in in_order(sorted(configs), number):
                if time.monotonic() - began > self.options["budget"]:
                    raise Refused(
                        f"{self.options['budget']} s are over (asgi_tune_budget), and not every candidate has been measured: "
                        "fewer candidates (asgi_tune_workers) or fewer seconds (asgi_tune_seconds) would do"
                    )
                figures = self.measure(configs[workers])
                self.measurements.append({"round": number, "workers": workers, **figures})
            if 2 * time.monotonic() - before - began > self.options["budget"]:
                break

    def prepare(self):
        """Put the load tool and a proxy beside the slot; its directory comes first, as all is removed by it."""
        directory = self.its["directory"]
        os.makedirs(directory, mode=0o755)
        self.tool = self.find_tool(os.path.join(directory, "wrk"))
        write_text(os.path.join(directory, "load.lua"), script(self.request), mode=0o600)
        self.port = free_port()
        self.start_proxy(os.path.join(directory, "nginx"))

    def find_tool(self, directory):
        """Return the beginning of wrk's command, of the host's own one or of one that is unpacked into *directory*."""
        found = self.module.get_bin_path("wrk")
        if found:
            return [found]
        archives = os.path.join(directory, "archives")
        os.makedirs(os.path.join(archives, "partial"))
        where = f"Dir::Cache::archives={archives}/"
        options = ["--yes", "--no-install-recommends", "--download-only", "-o", where]
        status, out, err = self.module.run_command(["apt-get", *options, "install", "wrk"])
        packages = glob.glob(os.path.join(archives, "*.deb"))
        if status or not packages:
            raise Refused(
                f"there is no wrk on this host, and none to fetch (apt-get update, or install it): {err or out}"
            )
        for package in packages:
            self.module.run_command(["dpkg-deb", "--extract", package, directory], check_rc=True)
        libraries = glob.glob(os.path.join(directory, "usr/lib/*/"))
        return ["env", f"LD_LIBRARY_PATH={':'.join(libraries)}", os.path.join(directory, "usr/bin/wrk")]

    def version(self):
        _status, out, _err = self.module.run_command([*self.tool, "-v"])
        return " ".join(out.split()[:2])

    def start_proxy(self, directory):
        nginx = self.module.get_bin_path("nginx")
        if not nginx:
            raise Refused("there is no nginx on this host: run site.yml first")
        os.makedirs(directory, mode=0o755)
        configuration = os.path.join(directory, "nginx.conf")
        write_text(configuration, proxy_configuration(directory, self.its["socket"], self.port, self.keepalive))
        unit = f"--unit={self.paths['trial_proxy_unit']}"
        most = f"--property=RuntimeMaxSec={self.options['budget'] + 2 * SPARE_SECONDS}"
        command = ["systemd-run", "--quiet", "--collect", unit, most, nginx, "-c", configuration]
        self.module.run_command(command, check_rc=True)
        end = time.monotonic() + PROXY_SECONDS
        while not connects(self.port):
            if time.monotonic() > end:
                said = read_text(os.path.join(directory, "error.log")) or "nothing"
                raise Refused(f"an nginx for the measurement did not start; it said: {said.strip()}")
            time.sleep(0.05)

    def measure(self, files):
        """Boot what *files* configure, drive load at it, stop it; return the figures."""
        limit = self.options["warmup"] + self.options["seconds"] + SPARE_SECONDS
        trial = {
            **files,
            SERVICE_FILE: f"{TRIAL_MARK}{files[SERVICE_FILE]}\n[Service]\nRestart=no\nRuntimeMaxSec={limit}\n",
        }
        gid = grp.getgrnam(self.paths["group"]).gr_gid
        target = Pair(self.release, self.app.store_config(trial, gid=gid))
        self.app.fill(TRIAL, target, self.app.state())
        self.app.boot(TRIAL, self.probe)
        if not self.measurements:
            self.ask_once()
        began = time.time()
        if self.options["warmup"]:
            self.drive(self.options["warmup"])
        pid, proxy = self.main_pid(self.its["service_unit"]), self.main_pid(self.paths["trial_proxy_unit"])
        processes = {"app": {pid, *children(pid)}, "nginx": children(proxy)}
        before, clock = self.seconds(processes), time.monotonic()
        figures = self.drive(self.options["seconds"])
        after, clock = self.seconds(processes), time.monotonic() - clock
        if self.main_pid(self.its["service_unit"]) != pid:
            raise self.app.failure(TRIAL, f"{self.its['service_unit']} ended under load", began)
        sizes = [proportional_memory(process) or 0 for process in (pid, *children(pid))]
        self.systemd.stop(self.its["socket_unit"], self.its["service_unit"])
        return {
            **figures,
            "cpu": {name: round(max(after[name] - before[name], 0) / clock, 2) for name in after},
            "worker_mb": max(sizes[1:], default=0),
            "slot_mb": sum(sizes),
        }

    def ask_once(self):
        """See that the requests are answered at all, and not by a redirect, which would be what is measured."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(self.request.method, self.request.path, self.request.body or None, self.request.headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            raise Refused(f"{self.request.method} {self.request.path} was not answered: {exc}") from exc
        finally:
            connection.close()
        healthy = self.request.path == self.probe.path and status in self.probe.statuses
        if not healthy and not 200 <= status < 300:
            raise Refused(
                f"{self.request.method} {self.request.path} is answered with {status}: name a path of the app's own that "
                "answers 200 (asgi_tune_path), with what it wants for that (asgi_tune_headers)"
            )

    def drive(self, seconds):
        """Return the figures of *seconds* of load."""
        threads = min(max(self.cpus // CPUS_PER_THREAD, 1), self.options["connections"])
        command = [*self.tool, "-t", str(threads), "-c", str(self.options["connections"]), "-d", f"{seconds}s"]
        command += ["--timeout", f"{ANSWER_SECONDS}s", "-s", os.path.join(self.its["directory"], "load.lua")]
        status, out, err = self.module.run_command([*command, f"http://127.0.0.1:{self.port}{self.request.path}"])
        try:
            return parse_load(out)
        except ValueError as exc:
            raise Refused(f"{exc} (status {status}) {err}".strip()) from exc

    def main_pid(self, unit):
        return self.systemd.show(unit)[unit].main_pid

    def seconds(self, processes):
        """Return the CPU seconds so far of *processes* by name, of wrk, and of the whole machine."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            **{name: cpu_seconds(pids) for name, pids in processes.items()},
            "load": usage.ru_utime + usage.ru_stime,
            "machine": machine_seconds(read_text("/proc/stat")),
        }


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str"},
            "candidates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "workers": {"type": "int", "required": True},
                    "files": {"type": "dict", "required": True},
                },
            },
            "environment": {"type": "json", "no_log": True},
            "probe": {"type": "dict", "required": True, "options": PROBE_OPTIONS},
            "path": {"type": "str"},
            "method": {"type": "str", "default": "GET"},
            "headers": {"type": "json", "no_log": True},
            # without a default, which would be a secret itself
            "body": {"type": "json", "no_log": True},
            "connections": {"type": "int", "default": 64},
            "seconds": {"type": "int", "default": 5},
            "warmup": {"type": "int", "default": 2},
            "rounds": {"type": "int", "default": 3},
            "budget": {"type": "int", "default": 600},
            "worker_memory": {"type": "int", "default": 128},
            "with_traffic": {"type": "bool", "default": False},
            "by": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        paths = layout(module.params["name"])
        environment = app_environment(paths, check_environment(json.loads(module.params["environment"] or "{}")))
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    for candidate in module.params["candidates"]:
        candidate["files"][ENV_FILE] = render_environment(environment)
        candidate["files"][PROBE_FILE] = json.dumps(module.params["probe"], sort_keys=True, indent=1) + "\n"

    app = App(paths, Systemd(module.run_command), dry=module.check_mode, by=module.params["by"])
    result = {"measurements": []}
    try:
        with app.lock(why="tunes"):
            trial = Trial(module, app, _release(module, app))
            result.update(plan=trial.plan(), measurements=trial.measurements)
            _refuse(module, app)
            if module.check_mode:
                module.exit_json(changed=False, **result)
            app.clear_trial()
            try:
                with interruptible():
                    trial.run()
                    result.update(release=trial.release, load=trial.load())
            finally:
                app.clear_trial()
    except Locked as exc:
        module.fail_json(msg=str(exc), **result)
    except SystemdError as exc:
        module.fail_json(msg=f"systemd: {exc}", **result)
    except ActivationError as exc:
        module.fail_json(msg=f"release {trial.release} could not be measured: {exc}\n{exc.journal}".rstrip(), **result)
    except Refused as exc:
        module.fail_json(msg=str(exc), **result)
    except Interrupted as exc:
        module.fail_json(msg=f"{exc}; the host is as it was", **result)
    machine = {"cpus": trial.cpus, "memory_mb": total_memory()}
    module.exit_json(changed=False, machine=machine, **result)


def _release(module, app):
    """Return the id of the release to measure."""
    live = app.live_pair()
    if live is None:
        raise Refused(f"{app.paths['name']} is not live on this host: deploy it first")
    wanted = module.params["release"]
    release = live.release if wanted is None else app.staged() if wanted == "staged" else wanted
    if not os.path.exists(os.path.join(app.paths["releases"], release or "", "release.json")):
        raise Refused(f"there is no release {release} of {app.paths['name']} on this host: see status.yml")
    return release


def _refuse(module, app):
    """Raise Refused where measuring would disturb somebody, or would be disturbed."""
    state = app.state()
    for slot, expected in ((state.live, True), (other(state.live), False)):
        unit = state.units[app.paths["slots"][slot]["service_unit"]]
        if unit.running is not expected:
            raise Refused(f"{unit.name} is {unit.active}: a deploy is going on or was interrupted; run it again first")
    if not module.params["with_traffic"]:
        log = last_lines(f"/var/log/nginx/{app.paths['name']}.access.log")
        count = recent_requests(log, time.time(), TRAFFIC_SECONDS)
        if count:
            raise Refused(
                f"this host has answered {count} requests or more in the last minute. Measuring takes the CPU from its "
                "clients, and they from what is measured: take the host out of the balancer first, or say "
                "-e asgi_tune_with_traffic=true"
            )
    workers = max(candidate["workers"] for candidate in module.params["candidates"])
    needed, there = workers * module.params["worker_memory"], available_memory(read_text("/proc/meminfo"))
    if needed > there:
        raise Refused(
            f"{workers} workers of {module.params['worker_memory']} MiB need {needed} MiB, and {there} are free: "
            "leave such candidates out (asgi_tune_workers)"
        )


def total_memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def free_port():
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
