"""The sites of this scenario, each on each machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probe
import pytest
import scenario
import testinfra
from scenario import Playbook
from testinfra.host import Host
from traffic.playbooks import wait_for

INVENTORY = Path(__file__).parent / "inventory"
MACHINES = scenario.machines(INVENTORY)
CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"


@dataclass(frozen=True)
class Site:
    """The site of an app on a machine."""

    machine: str
    host: Host
    name: str

    @property
    def server_name(self) -> str:
        return f"{self.name}.test"

    @property
    def inventory_name(self) -> str:
        return f"{self.machine.removeprefix('asgi-edge-')}-{self.name}"

    @property
    def ca(self) -> Path:
        """Return the certificate of the test CA."""
        return CA

    def port(self, inside: int = 443) -> int:
        return scenario.published_port(self.machine, inside)

    def ask(self, path: str = "/", *, name: str | None = None, inside: int = 443, **options: Any) -> probe.Answer:
        """Send a request from outside the machine, over HTTPS with a verified certificate unless `tls=False`."""
        port = self.port(inside if options.get("tls", True) else 80)
        return probe.ask(name or self.server_name, port, path, ca=CA, **options)

    def open(self, **options: Any):
        """Connect from outside the machine."""
        return probe.open_socket(self.server_name, self.port(), ca=CA, **options)

    def workers(self) -> str:
        """Return the worker processes of nginx, which a reload replaces."""
        return self.host.check_output("pgrep --parent $(cat /run/nginx.pid) | sort")

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines of a request in the access log, which nginx writes with a delay of a second or more."""
        wait_for(lambda: request_id in self.access_log(), f"{request_id} in the access log")
        return [json.loads(line) for line in self.access_log().splitlines() if request_id in line]

    def access_log(self) -> str:
        return self.host.file(f"/var/log/nginx/{self.name}.access.log").content_string


def fixture_of(name: str):
    sites = [Site(machine, testinfra.get_host(f"docker://{machine}"), name) for machine in MACHINES]

    @pytest.fixture(params=sites, ids=lambda site: site.machine)
    def site(request: pytest.FixtureRequest) -> Site:
        return request.param

    return site


# a site with direct clients; one with all features, behind an HTTP balancer; one behind a TCP balancer
hello = fixture_of("hello")
features = fixture_of("features")
behind = fixture_of("behind")


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(INVENTORY)
