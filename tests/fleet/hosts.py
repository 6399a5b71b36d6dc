"""The hosts and balancers of the scenario fleet."""

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
# enough load to detect losses, on a computer that also runs six machines and the controller
SHAPE = Shape(clients=8, think=0.3, slow=2, websockets=0, streams=0)

# If this file exists on a host, the releases of these tests do not start there. Staging does not detect this fault.
FAULT_FILE = Path("/etc/fleet-fault")
BROKEN = f"""
    if Path("{FAULT_FILE}").exists():
        raise RuntimeError("this host cannot run this release")
"""


class Host(NamedTuple):
    """An app host: its inventory name and its site."""

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
        """Prevent the releases of these tests from starting on this host."""
        self.site.machine.sh(f"touch {FAULT_FILE}")
        try:
            yield
        finally:
            self.site.machine.sh(f"rm {FAULT_FILE}")


class Balancer(NamedTuple):
    """A load balancer: its inventory name and its site."""

    name: str
    site: Site

    @property
    def holds_address(self) -> bool:
        return VIRTUAL_IP in self.site.machine.sh("ip -brief address show eth0")

    def run(self, command: str) -> str:
        """Send *command* to HAProxy's runtime API, and return the answer."""
        program = (
            "import socket, sys; api = socket.socket(socket.AF_UNIX); api.connect('/run/haproxy/admin.sock'); "
            "api.sendall(sys.argv[1].encode() + b'\\n'); print(b''.join(iter(lambda: api.recv(65536), b'')).decode())"
        )
        return self.site.machine.sh(f"python3 -c {shlex.quote(program)} {shlex.quote(command)}")

    def statuses(self, backend: str = "asgi_fleet") -> dict[str, str]:
        """Return the status of each server of *backend*, such as UP, DOWN or DRAIN."""
        rows = csv.DictReader(self.run("show stat").lstrip("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == backend and row["svname"] != "BACKEND"}


class SharedSite(Site):
    """The site at the virtual address of the balancers."""

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

    def clear_executed(self) -> None:
        for host in self.hosts:
            host.site.clear_executed()

    def executed(self, without: tuple[str, ...] = ()) -> Counter[str]:
        """Return the number of executions of each request on all hosts."""
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


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a controller and its workers, which have their own sessions, like a power failure."""
    if process.poll() is None:
        for pid in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def descendants(pid: int) -> list[int]:
    output = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False).stdout
    children = [int(child) for child in output.split()]
    return children + [each for child in children for each in descendants(child)]


def assert_nothing_lost(figures: Figures) -> None:
    assert (figures.lost, figures.faults, figures.inconsistent) == (0, {}, 0)
    assert figures.requests > 0


def wait_until_serving(host: Host) -> None:
    """Wait until the app of a restarted machine is active."""
    wait_for(lambda: host.site.machine.sh(f"systemctl is-active {host.site.service} || true") == "active", host.name)
