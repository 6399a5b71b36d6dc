"""A reboot during an activation: the processes of the live slot start, whichever slot that is."""

from __future__ import annotations

import subprocess

import pytest
from processes.interruption import deploy_until

pytestmark = pytest.mark.long


@pytest.mark.parametrize("step", ["the traffic is switched", "all new processes run"])
def test_reboot_after_a_killed_deploy(operator, hosts, step):
    variables = deploy_until(operator, hosts, step, kill_modules=True)

    for host in hosts:
        subprocess.run(["docker", "restart", host.machine.container], check=True, capture_output=True)
        host.machine.sh("systemctl is-system-running --wait || true")

    assert [fault for host in hosts for fault in host.settled()] == []
    operator.play("deploy", **variables)
    assert [fault for host in hosts for fault in host.settled()] == []
