"""The hosts of the scenario fleet, and what is done to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from traffic.counting import Figures
from traffic.load import Shape
from traffic.playbooks import wait_for
from traffic.sites import Machine, OurSite

HOSTS = ["app1", "app2", "app3", "app4"]
# on each host: enough to notice, and little enough for four hosts and a controller on one computer
SHAPE = Shape(clients=2, think=0.3, slow=1, websockets=0, streams=0)

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


class Fleet(NamedTuple):
    hosts: list[Host]

    @property
    def releases(self) -> list[str]:
        return [host.release for host in self.hosts]

    @property
    def slots(self) -> list[str]:
        return [host.site.live for host in self.hosts]

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    @classmethod
    def of_the_scenario(cls) -> Fleet:
        machines = {name: Machine(f"asgi-fleet-{name[-1]}") for name in HOSTS}
        return cls(
            [
                Host(name, OurSite(name, machine, "fleet.test", "/srv/fleet/shared", app="fleet"))
                for name, machine in machines.items()
            ]
        )


class Run(NamedTuple):
    """How a playbook ended."""

    status: int
    said: str


def kill(process: subprocess.Popen[str]) -> None:
    """End a controller as a power cut does."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def assert_nothing_lost(found: dict[str, Figures]) -> None:
    assert {name: (figures.lost, figures.faults, figures.untrue) for name, figures in found.items()} == {
        name: (0, {}, 0) for name in found
    }
    assert min(figures.requests for figures in found.values()) > 0


def wait_until_serving(host: Host) -> None:
    """Wait until a machine that was started has its app again."""
    wait_for(lambda: host.site.machine.sh(f"systemctl is-active {host.site.service} || true") == "active", host.name)
