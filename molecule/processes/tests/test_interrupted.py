"""Controllers and modules killed during an activation, and reboots: exactly the processes of the live slot run in the end."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest
from processes.hosts import APP

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


def deploy_until(operator, hosts, step, kill_modules):
    """Start a deploy, and kill its controller when a host reaches *step*. Return the variables of the deploy."""
    variables = {**operator.variables, "asgi_app_source": operator.source()}
    with ThreadPoolExecutor(len(hosts)) as pool, operator.popen("deploy", variables) as process:
        watchers = [pool.submit(wait_on, host, step, kill_modules) for host in hosts]
        wait(watchers, return_when=FIRST_COMPLETED)
        os.killpg(process.pid, signal.SIGKILL)
    assert any(watcher.result() for watcher in watchers), f"no host reached the step: {step}"
    return variables


def wait_on(host, step, kill_modules):
    script = (
        f"live={host.live}; idle={host.idle}; end=$(($(date +%s) + {REACH_SECONDS})); "
        f"until {STEPS[step]}; do [ $(date +%s) -lt $end ] || exit 0; done; {KILL_MODULES if kill_modules else ''} echo reached"
    )
    return host.machine.sh(script).endswith("reached")


@pytest.mark.parametrize("kill_modules", [False, True], ids=["controller", "controller and module"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.long
def test_next_run_completes_a_killed_deploy(operator, hosts, step, kill_modules):
    variables = deploy_until(operator, hosts, step, kill_modules)

    operator.play("deploy", **variables)

    assert [fault for host in hosts for fault in host.settled()] == []
    assert len({host.machine.sh(f"basename $(readlink /srv/{APP}/current)") for host in hosts}) == 1


@pytest.mark.long
def test_reboot_after_a_killed_deploy(operator, hosts):
    """A host that reboots after the switch and before its new processes run starts the processes of the new slot."""
    variables = deploy_until(operator, hosts, "the traffic is switched", True)
    reboot(hosts)

    assert [fault for host in hosts for fault in host.settled()] == []
    operator.play("deploy", **variables)
    assert [fault for host in hosts for fault in host.settled()] == []


def reboot(hosts):
    for host in hosts:
        subprocess.run(["docker", "restart", host.machine.container], check=True, capture_output=True)
        host.machine.sh("systemctl is-system-running --wait || true")
