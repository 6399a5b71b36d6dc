"""The sites of this scenario, each on each machine, as the tests see them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probe
import pytest
import testinfra
import yaml
from testinfra.host import Host

INVENTORY = Path(__file__).parent / "inventory"
MACHINES = [
    target["name"] for target in yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["vars"]["targets"]
]
CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"


@dataclass(frozen=True)
class Site:
    """The site of one app on one machine."""

    machine: str
    host: Host
    name: str

    @property
    def server_name(self) -> str:
        return f"{self.name}.test"

    def port(self, inside: int = 443) -> int:
        """The port of this computer that leads to a port of the machine; another one after each start."""
        published = subprocess.check_output(["docker", "port", self.machine, str(inside)], text=True)
        return int(published.splitlines()[0].rpartition(":")[2])

    def ask(self, path: str = "/", *, name: str | None = None, **options: Any) -> probe.Answer:
        """Ask from outside the machine, over HTTPS with the certificate verified, unless `tls=False`."""
        port = self.port(443 if options.get("tls", True) else 80)
        return probe.ask(name or self.server_name, port, path, ca=CA, **options)


def sites(name: str) -> list[Site]:
    return [Site(machine, testinfra.get_host(f"docker://{machine}"), name) for machine in MACHINES]


@pytest.fixture(params=sites("hello"), ids=lambda site: site.machine)
def hello(request: pytest.FixtureRequest) -> Site:
    """The site that clients reach directly, on every machine."""
    return request.param
