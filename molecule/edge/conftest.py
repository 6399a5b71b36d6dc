"""The sites of this scenario, each on each machine, as the tests see them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probe
import pytest
import testinfra
import yaml
from testinfra.host import Host
from traffic.playbooks import wait_for

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

    @property
    def inventory_name(self) -> str:
        return f"{self.machine.removeprefix('asgi-edge-')}-{self.name}"

    def port(self, inside: int = 443) -> int:
        """The port of this computer that leads to a port of the machine; another one after each start."""
        published = subprocess.check_output(["docker", "port", self.machine, str(inside)], text=True)
        return int(published.splitlines()[0].rpartition(":")[2])

    def ask(self, path: str = "/", *, name: str | None = None, inside: int = 443, **options: Any) -> probe.Answer:
        """Ask from outside the machine, over HTTPS with the certificate verified, unless `tls=False`."""
        port = self.port(inside if options.get("tls", True) else 80)
        return probe.ask(name or self.server_name, port, path, ca=CA, **options)

    def open(self, **options: Any):
        """Connect from outside the machine, ready for a request."""
        return probe.open_socket(self.server_name, self.port(), ca=CA, **options)

    def told(self, url: str) -> str:
        """What something that listens on the machine tells the machine itself."""
        read = f"import urllib.request as r; print(r.urlopen('{url}').read().decode())"
        return self.host.check_output("python3 -c %s", read)

    def workers(self) -> str:
        """The processes of nginx that answer; others after a reload."""
        return self.host.check_output("pgrep --parent $(cat /run/nginx.pid) | sort")

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """What the access log says of a request, once it does: it is written with a delay of a second or more."""
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


# as clients reach it directly; with all features, asked by a balancer; behind a balancer that passes TCP through
hello = fixture_of("hello")
features = fixture_of("features")
behind = fixture_of("behind")


@pytest.fixture
def playbook() -> Callable[..., tuple[int, str]]:
    """Run a shipped playbook as a user does, with variables; return its exit status and all it printed."""

    def run(name: str, *options: str, **variables: Any) -> tuple[int, str]:
        command = ["ansible-playbook", "-i", INVENTORY, *options, f"asgi.deploy.{name}", "-e", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout + done.stderr

    return run
