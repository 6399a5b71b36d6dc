#!/usr/bin/python
# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a release with several numbers of workers, beside the live release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tune
short_description: Measure a release with several numbers of workers
version_added: 1.0.0
description:
  - Boots a release with each of several configurations in a third slot of the app, V(trial), which never receives traffic, and sends
    requests to it with C(wrk), through a separate nginx on a port of the loopback address.
  - That nginx connects to the slot like the site, with the same number of idle connections. It uses neither TLS nor a log.
  - Changes neither the two slots of the app nor the site's nginx. They share CPU and memory of the host with the measurement, though.
  - Uses the host's C(wrk), or unpacks Debian's packages of C(wrk) into the slot without installing them.
  - At its end, removes everything that it has written to the host, even after an error, a signal or the loss of the controller. If the
    process is killed, its units stop after some time, and the next M(asgi.deploy.tune), M(asgi.deploy.activate) or
    M(asgi.deploy.deactivate) removes the rest.
  - Holds the app's lock, so that no deploy can run at the same time.
options:
  name:
    description: Name of the app. A release of it must be live.
    type: str
    required: true
  release:
    description: Id of the release to measure, or V(staged) for the last staged one. Defaults to the live one.
    type: str
  candidates:
    description: The configurations to measure.
    type: list
    elements: dict
    required: true
    suboptions:
      workers:
        description: Number of workers in the configuration.
        type: int
        required: true
      files:
        description: Texts of the configuration, by name, as for M(asgi.deploy.activate).
        type: dict
        required: true
  environment:
    description: Environment of the app, as for M(asgi.deploy.activate).
    type: json
  path:
    description: Path of the requests, with its query. Defaults to the path of the probe.
    type: str
  method:
    description: Method of the requests. Methods other than V(GET) and V(HEAD) may change the app's data.
    type: str
    default: GET
  headers:
    description: Additional headers of the requests.
    type: json
  body:
    description: Body of the requests, as a JSON string. Ansible then masks the whole JSON string and not each occurrence of a
      short body, such as V(1), in the measurements. Requests have no body by default.
    type: json
  connections:
    description: Number of clients. Each sends its next request when it has received the response to the previous one.
    type: int
    default: 64
  seconds:
    description: Seconds to measure each candidate in each round.
    type: int
    default: 5
  warmup:
    description: Seconds of load before each measurement that are not counted.
    type: int
    default: 2
  rounds:
    description: Number of rounds. Each round measures all candidates, alternately in ascending and descending order.
    type: int
    default: 3
  budget:
    description: Seconds after which no new round starts. If the first round is still running then, it is aborted.
    type: int
    default: 600
  worker_memory:
    description: MiB per worker, to check whether the host has enough memory.
    type: int
    default: 128
  with_traffic:
    description: Whether to measure even if clients have sent requests to the site within the last minute.
    type: bool
    default: false
  by:
    description: Name of the person who tunes the app, recorded in the lock.
    type: str
    default: ""
extends_documentation_fragment:
  - asgi.deploy.probe
attributes:
  check_mode:
    description: Returns the plan, and fails if the measurement would be refused.
    support: full
  diff_mode:
    description: Changes nothing permanently.
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
  description: A sentence that describes the measurement.
  type: str
  returned: always
release:
  description: Id of the release that was measured.
  type: str
  returned: success
load:
  description: The load, with C(tool), C(method), C(path), C(connections), C(seconds), C(warmup), C(rounds) and C(keepalive), which is the
    number of idle connections that each worker of nginx keeps to the app.
  type: dict
  returned: success
machine:
  description: C(cpus) and C(memory_mb) of the host.
  type: dict
  returned: success
measurements:
  description: The measurements in chronological order.
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
      description: Number of responses.
      type: int
    throughput:
      description: Requests per second.
      type: float
    p50_ms:
      description: Median response time in milliseconds. C(p90_ms), C(p99_ms) and C(max_ms) are other percentiles and the maximum.
      type: float
    errors:
      description: Number of failed requests by kind; C(status) counts responses with a status of 400 or more.
      type: dict
    cpu:
      description: Average number of CPUs used by the C(app), by C(nginx), by the load tool (C(load)) and by the whole C(machine).
      type: dict
    worker_mb:
      description: Memory of the largest worker in MiB, with its share of common pages (PSS).
      type: int
    slot_mb:
      description: Memory of all workers and the master together, in MiB.
      type: int
"""

import json
import os

from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import ENV_FILE, PROBE_FILE
from ansible_collections.asgi.deploy.plugins.module_utils._app.probe import PROBE_OPTIONS
from ansible_collections.asgi.deploy.plugins.module_utils._host.environment import (
    app_environment,
    check_environment,
    render_environment,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host.interruption import Interrupted, interruptible
from ansible_collections.asgi.deploy.plugins.module_utils._tune.trial import Refused, Trial, check_host


def main():
    module = AppModule(
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
            # no default, because Ansible would mask the default wherever it occurs in the output
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
    )
    app = module.app
    with module.reporting():
        environment = app_environment(app.paths, check_environment(json.loads(module.params["environment"] or "{}")))
    for candidate in module.params["candidates"]:
        candidate["files"][ENV_FILE] = render_environment(environment)
        candidate["files"][PROBE_FILE] = json.dumps(module.params["probe"], sort_keys=True, indent=1) + "\n"

    result = {"measurements": []}
    with module.reporting(**result):
        trial = Trial(module, app, _release(module, app))
        result.update(plan=trial.plan(), measurements=trial.measurements)
    try:
        with (
            module.reporting_activation(f"release {trial.release} could not be measured", **result),
            app.lock(why="tunes"),
        ):
            most = max(candidate["workers"] for candidate in module.params["candidates"])
            check_host(app, most, module.params["worker_memory"], module.params["with_traffic"])
            if module.check_mode:
                module.exit_json(changed=False, **result)
            app.clear_trial()
            try:
                with interruptible():
                    trial.run()
                    result.update(release=trial.release, load=trial.load())
            finally:
                app.clear_trial()
    except Interrupted as exc:
        module.fail_json(msg=f"{exc}; nothing was changed", **result)
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


def total_memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


if __name__ == "__main__":
    main()
