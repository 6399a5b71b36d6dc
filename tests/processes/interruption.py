"""Kill a controller, and its modules on the hosts, at a certain step of an activation."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

from traffic.playbooks import Operator

from processes.hosts import APP, JobsHost

# Steps of an activation that moves from the slot $live to the slot $idle, as shell conditions
STEPS = {
    "the web server starts": f"systemctl is-active {APP}@$idle.service | grep -qxE 'active|activating'",
    "the traffic is switched": f"[ $(basename $(readlink /run/{APP}/live.sock) .sock) = $idle ]",
    "the former scheduler is stopped": f"! systemctl is-active --quiet {APP}.beat.1@$live.service",
    "the first new process starts": f"systemctl is-active {APP}.'*'@$idle.service | grep -qxE 'active|activating'",
    "the scheduler starts": f"systemctl is-active --quiet {APP}.beat.1@$idle.service",
    "all new processes run": f"[ $(systemctl is-active {APP}.'*'@$idle.service | grep -cx active) -ge 5 ]",
    "the former workers finish": f"systemctl is-active {APP}.'*'@$live.service | grep -q deactivating",
}
# Ansible passes modules to Python's standard input or, without pipelining, copies them to a file.
KILL_MODULES = """
for directory in /proc/[0-9]*; do
  case "$(tr '\\0' ' ' <$directory/cmdline 2>/dev/null)" in
    '/usr/bin/python3 ' | /usr/bin/python3*AnsiballZ_*) kill -KILL ${directory#/proc/} || true ;;
  esac
done
"""
# Staging precedes the activation.
REACH_SECONDS = 120


def deploy_until(operator: Operator, hosts: Sequence[JobsHost], step: str, kill_modules: bool) -> dict[str, Any]:
    """Start a deploy, and kill its controller when a host reaches *step*. Return the variables of the deploy."""
    variables = {**operator.variables, "asgi_app_source": operator.source()}
    with ThreadPoolExecutor(len(hosts)) as pool, operator.popen("deploy", variables) as process:
        watchers = [pool.submit(wait_on, host, step, kill_modules) for host in hosts]
        wait(watchers, return_when=FIRST_COMPLETED)
        os.killpg(process.pid, signal.SIGKILL)
    assert any(watcher.result() for watcher in watchers), f"no host reached the step: {step}"
    return variables


def wait_on(host: JobsHost, step: str, kill_modules: bool) -> bool:
    """Wait until *host* reaches *step*, and return whether it has. Then kill the modules if *kill_modules* is true."""
    script = (
        f"live={host.live}; idle={host.idle}; end=$(($(date +%s) + {REACH_SECONDS})); "
        f"until {STEPS[step]}; do [ $(date +%s) -lt $end ] || exit 0; done; {KILL_MODULES if kill_modules else ''} echo reached"
    )
    return host.machine.sh(script).endswith("reached")
