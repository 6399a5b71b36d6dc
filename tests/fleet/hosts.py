"""The hosts of the scenario fleet, and what is done to them."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from traffic.counting import Figures
from traffic.load import Address, Shape
from traffic.playbooks import wait_for
from traffic.sites import Machine, OurSite, Site

HOSTS = ["app1", "app2", "app3", "app4"]
BALANCERS = ["lb1", "lb2"]
VIRTUAL_IP = "10.213.77.10"
# enough to notice, and little enough for six machines and a controller on one computer
SHAPE = Shape(clients=8, think=0.3, slow=2, websockets=0, streams=0)

# What a release of these tests wants of a host: nothing to be seen when it is staged, only when it starts to serve.
WANTED = Path("/etc/fleet-fault")
BROKEN = f"""
    if Path("{WANTED}").exists():
        raise RuntimeError("this host cannot run this release")
"""


class Host(NamedTuple):
    """One app host: its name in the inventory, and its site."""

    name: str
    site: OurSite

    @property
    def release(self) -> str:
        return self.site.serving().split(":")[0]

    @property
    def log(self) -> list[dict[str, Any]]:
        return json.loads(self.site.machine.sh("cat /srv/fleet/releases.json"))

    def docker(self, *command: str) -> None:
        subprocess.run(["docker", *command, self.site.machine.container], check=True, capture_output=True)

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Make this host one that cannot run the releases of these tests."""
        self.site.machine.sh(f"touch {WANTED}")
        try:
            yield
        finally:
            self.site.machine.sh(f"rm {WANTED}")


class Balancer(NamedTuple):
    """One of the machines that stand before the hosts."""

    name: str
    site: Site

    @property
    def has_the_address(self) -> bool:
        return VIRTUAL_IP in self.site.machine.sh("ip -brief address show eth0")

    def tell(self, command: str) -> str:
        """Say *command* to HAProxy's runtime API and return the answer."""
        program = (
            "import socket, sys; api = socket.socket(socket.AF_UNIX); api.connect('/run/haproxy/admin.sock'); "
            "api.sendall(sys.argv[1].encode() + b'\\n'); print(b''.join(iter(lambda: api.recv(65536), b'')).decode())"
        )
        return self.site.machine.sh(f"python3 -c {shlex.quote(program)} {shlex.quote(command)}")

    def statuses(self, backend: str = "asgi_fleet") -> dict[str, str]:
        """Return what HAProxy thinks of each server of *backend*, as UP, DOWN or DRAIN."""
        rows = csv.DictReader(self.tell("show stat").lstrip("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == backend and row["svname"] != "BACKEND"}


class SharedSite(Site):
    """The site at the address that both balancers share."""

    @property
    def address(self) -> Address:
        return Address(443, self.server_name, VIRTUAL_IP)


class Fleet(NamedTuple):
    hosts: list[Host]
    balancers: list[Balancer]

    @property
    def releases(self) -> list[str]:
        return [host.release for host in self.hosts]

    @property
    def slots(self) -> list[str]:
        return [host.site.live for host in self.hosts]

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    @property
    def shared(self) -> Site:
        return SharedSite("shared", self.balancers[0].site.machine, "fleet.test", "")

    def forget_executed(self) -> None:
        for host in self.hosts:
            host.site.forget_executed()

    def executed(self, without: tuple[str, ...] = ()) -> Counter[str]:
        """Return how often each request was executed, on whichever host."""
        return sum((host.site.executed() for host in self.hosts if host.name not in without), Counter())

    @classmethod
    def of_the_scenario(cls) -> Fleet:
        machines = {name: Machine(f"asgi-fleet-{name[-1]}") for name in HOSTS}
        balancers = [Balancer(name, Site(name, Machine(f"asgi-fleet-{name}"), "fleet.test", "")) for name in BALANCERS]
        return cls(
            [
                Host(name, OurSite(name, machine, "fleet.test", "/srv/fleet/shared", app="fleet"))
                for name, machine in machines.items()
            ],
            balancers,
        )


class Run(NamedTuple):
    """How a playbook ended."""

    status: int
    said: str


def kill(process: subprocess.Popen[str]) -> None:
    """End a controller as a power cut does, its workers too, each of which has a session of its own."""
    if process.poll() is None:
        for pid in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def descendants(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False).stdout
    children = [int(child) for child in found.split()]
    return children + [each for child in children for each in descendants(child)]


def assert_nothing_lost(found: Figures) -> None:
    assert (found.lost, found.faults, found.untrue) == (0, {}, 0)
    assert found.requests > 0


def wait_until_serving(host: Host) -> None:
    """Wait until a machine that was started has its app again."""
    wait_for(lambda: host.site.machine.sh(f"systemctl is-active {host.site.service} || true") == "active", host.name)
