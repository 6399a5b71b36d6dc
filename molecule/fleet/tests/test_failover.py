"""One of two balancers goes, in each of the ways that one can; what is lost is counted."""

from __future__ import annotations

import subprocess
import time

import probe
import pytest
from fleet.hosts import SHAPE
from traffic import load
from traffic.playbooks import wait_for

# keepalived misses three messages of a second each
OUTAGE_SECONDS = 8


def docker(balancer, *command):
    subprocess.run(["docker", *command, balancer.site.machine.container], check=True, capture_output=True)


WAYS = {
    "keepalived is stopped": (
        lambda balancer: balancer.site.machine.sh("systemctl stop keepalived"),
        lambda balancer: balancer.site.machine.sh("systemctl start keepalived"),
    ),
    "HAProxy is stopped": (
        lambda balancer: balancer.site.machine.sh("systemctl stop haproxy"),
        lambda balancer: balancer.site.machine.sh("systemctl start haproxy"),
    ),
    "the machine hangs": (lambda balancer: docker(balancer, "pause"), lambda balancer: docker(balancer, "unpause")),
    "the machine loses its power": (
        lambda balancer: docker(balancer, "kill"),
        lambda balancer: docker(balancer, "start"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_other_balancer_takes_over(fleet, under_traffic, way):
    go, come_back = WAYS[way]
    active = next(balancer for balancer in fleet.balancers if balancer.has_the_address)
    [other] = [balancer for balancer in fleet.balancers if balancer is not active]
    took = []

    def fail():
        began = time.monotonic()
        go(active)
        wait_for(lambda: other.has_the_address, "the other balancer")
        took.append(time.monotonic() - began)
        time.sleep(2)

    try:
        found = under_traffic(fail, site=fleet.shared)
    finally:
        come_back(active)

    print(
        f"{way}: the address moved after {took[0]:.1f} s; {found.lost} of {found.requests:,} requests lost, {found.faults}"
    )
    assert took[0] < OUTAGE_SECONDS
    assert found.duplicates == 0
    # each client is let down once by its old connection, and again as long as there is nobody to connect to
    assert found.lost <= SHAPE.askers * (1 + OUTAGE_SECONDS / load.RETRY_SECONDS)
    assert other.has_the_address
    assert not active.has_the_address, "the one that comes back leaves it to the other"
    address = fleet.shared.address
    assert probe.ask(address.name, address.port, "/health", host=address.host).status == 200
    wait_for(lambda: set(active.statuses().values()) == {"UP"}, f"{active.name} to be ready to serve again")
