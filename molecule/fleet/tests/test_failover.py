"""Failover between the balancers, with a count of the lost requests."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace

import probe
import pytest
from fleet.hosts import SHAPE
from traffic import load
from traffic.playbooks import wait_for

# Without slow requests: after the loss of the machine, their clients would wait for the answer until their timeout.
CLIENTS = replace(SHAPE, slow=0)
# keepalived takes over after three missed messages at intervals of one second.
OUTAGE_SECONDS = 8


def docker(balancer, *command):
    subprocess.run(["docker", *command, balancer.site.machine.container], check=True, capture_output=True)


FAILURES = {
    "HAProxy is stopped": (
        lambda balancer: balancer.site.machine.sh("systemctl stop haproxy"),
        lambda balancer: balancer.site.machine.sh("systemctl start haproxy"),
    ),
    "the machine is killed": (
        lambda balancer: docker(balancer, "kill"),
        lambda balancer: docker(balancer, "start"),
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_other_balancer_takes_over(fleet, under_traffic, failure):
    stop, restart = FAILURES[failure]
    active = next(balancer for balancer in fleet.balancers if balancer.holds_address)
    [other] = [balancer for balancer in fleet.balancers if balancer is not active]
    took = []

    def fail():
        began = time.monotonic()
        stop(active)
        wait_for(lambda: other.holds_address, "the other balancer")
        took.append(time.monotonic() - began)
        time.sleep(2)

    try:
        figures = under_traffic(fail, site=fleet.shared, shape=CLIENTS)
    finally:
        restart(active)

    print(
        f"{failure}: the address moved after {took[0]:.1f} s; {figures.lost} of {figures.requests:,} requests lost, {figures.faults}"
    )
    assert took[0] < OUTAGE_SECONDS
    assert figures.duplicates == 0
    # Each client loses a request on its old connection, and further ones until it can connect again.
    assert figures.lost <= CLIENTS.concurrency * (1 + OUTAGE_SECONDS / load.RETRY_SECONDS)
    wait_for(lambda: [active.holds_address, other.holds_address].count(True) == 1, "one holder of the address")
    address = fleet.shared.address
    assert probe.ask(address.name, address.port, "/health", host=address.host).status == 200
    wait_for(
        lambda: active.site.machine.sh("systemctl is-active haproxy || true") == "active", f"{active.name} to boot"
    )
    wait_for(lambda: set(active.statuses().values()) == {"UP"}, f"{active.name} to have healthy servers")
