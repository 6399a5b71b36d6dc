"""Controllers and modules killed during an activation: exactly the processes of the live slot run in the end, and no job is lost."""

from __future__ import annotations

import time

import pytest
from processes import session
from processes.hosts import APP
from processes.interruption import STEPS, deploy_until

pytestmark = pytest.mark.long


def faults(hosts):
    return [fault for host in hosts for fault in host.settled()]


def releases(hosts):
    return {host.machine.sh(f"basename $(readlink /srv/{APP}/current)") for host in hosts}


@pytest.fixture(scope="module")
def completed(hosts):
    """The completed deploys. Meanwhile, producers enqueue jobs, each of which must be executed once."""
    began, deploys = time.monotonic(), []
    with session.producing(hosts, rate=20) as ledgers:
        yield deploys
    figures = session.result(time.monotonic() - began, len(deploys), 0, ledgers)
    print(f"\n{figures}\n")
    assert (figures.total.lost, figures.total.repeated, figures.overlaps) == ([], [], [])


@pytest.mark.parametrize("kill_modules", [False, True], ids=["controller", "controller and module"])
@pytest.mark.parametrize("step", STEPS)
def test_next_run_completes_a_killed_deploy(operator, hosts, completed, step, kill_modules):
    variables = deploy_until(operator, hosts, step, kill_modules)

    operator.play("deploy", **variables)

    completed.append(step)
    assert faults(hosts) == []
    assert len(releases(hosts)) == 1
