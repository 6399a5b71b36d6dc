"""The apps of this scenario, each on each machine, as the tests see them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable
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
APPS = [yaml.safe_load(path.read_text()) for path in sorted((INVENTORY / "group_vars").glob("*.yml"))]


@dataclass(frozen=True)
class App:
    """One app on one machine."""

    machine: str
    host: Host
    variables: dict[str, Any]

    @property
    def name(self) -> str:
        return self.variables["asgi_name"]

    @property
    def server_name(self) -> str:
        return self.variables["asgi_proxy_server_names"][0]

    @property
    def probe_path(self) -> str:
        return self.variables.get("asgi_server_probe_path", "/health")

    @property
    def live(self) -> str:
        """The slot that takes traffic, by where nginx connects to."""
        return Path(self.host.file(f"/run/{self.name}/live.sock").linked_to).stem

    @property
    def idle(self) -> str:
        return {"blue": "green", "green": "blue"}[self.live]

    def service(self, slot: str) -> str:
        return f"{self.name}@{slot}.service"

    def property_of(self, unit: str, name: str) -> str:
        return self.host.check_output(f"systemctl show --value --property={name} {unit}")

    def fingerprint(self) -> tuple[str, str]:
        """Everything that a deployment consists of, by path, time, size and link target.

        Not by change time: releases share files with uv's cache, and another link to a file changes that.
        """
        find = (
            f"find /etc /opt /srv /run/{self.name} /usr/local /var/lib/dpkg -type f,l,s ! -name '.*lock' "
            "-printf '%p %T@ %s %l\\n'"
        )
        units = f"systemctl show --property=Id,ActiveState,MainPID '{self.name}@*' nginx.service"
        return self.host.check_output(find), self.host.check_output(units)

    def journal(self, options: str = "") -> str:
        """What is in the machine's journal, all that was said until now."""
        return self.host.check_output(f"journalctl --sync && journalctl --no-pager --output=cat {options}")

    def metrics(self, path: str = "/metrics") -> str:
        """What Prometheus would read on the machine."""
        read = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:9464{path}').read().decode())"
        return self.host.check_output("python3 -c %s", read)

    def counted(self, route: str) -> dict[tuple[str, str], int]:
        """How many requests of a route were counted, by slot and release."""
        found: Counter[tuple[str, str]] = Counter()
        for text, number in re.findall(r"^asgi_requests_total{(.*)} (\S+)$", self.metrics(), re.MULTILINE):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
            if labels["route"] == route:
                found[labels["slot"], labels["release"]] += int(float(number))
        return found

    def ask(self, path: str, **options: Any) -> probe.Answer:
        """Ask from outside the machine, over HTTPS unless `tls=False`."""
        return probe.ask(self.server_name, self.port(443 if options.get("tls", True) else 80), path, **options)

    def json(self, path: str, **options: Any) -> Any:
        answer = self.ask(path, **options)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def port(self, inside: int) -> int:
        """The port of this computer that leads to a port of the machine; another one after each start."""
        published = subprocess.check_output(["docker", "port", self.machine, str(inside)], text=True)
        return int(published.splitlines()[0].rpartition(":")[2])


def app_on(machine: str, variables: dict[str, Any]) -> App:
    return App(machine, testinfra.get_host(f"docker://{machine}"), variables)


ALL_APPS = [app_on(machine, variables) for machine in MACHINES for variables in APPS]


def label(app: App) -> str:
    return f"{app.machine}-{app.name}"


@pytest.fixture(params=ALL_APPS, ids=label)
def app(request: pytest.FixtureRequest) -> App:
    """Every app on every machine, one after the other."""
    return request.param


@pytest.fixture(params=[app for app in ALL_APPS if app.name == "hello"], ids=label)
def hello(request: pytest.FixtureRequest) -> App:
    """The bundled app on every machine."""
    return request.param


@pytest.fixture(params=[app for app in ALL_APPS if app.name == "titiler"], ids=label)
def titiler(request: pytest.FixtureRequest) -> App:
    """The app from the package index on every machine."""
    return request.param


@pytest.fixture
def hellos() -> list[App]:
    """The bundled app on every machine, for what is done to all machines at once."""
    return [app for app in ALL_APPS if app.name == "hello"]


@pytest.fixture
def one_hello() -> App:
    """The bundled app on one machine, where the others would only say the same."""
    return next(app for app in ALL_APPS if app.name == "hello")


@pytest.fixture
def everywhere() -> Callable[[str], list[App]]:
    """The app of a name on all machines at once."""
    return lambda name: [app for app in ALL_APPS if app.name == name]


@pytest.fixture
def playbook() -> Callable[..., tuple[int, str]]:
    """Run a shipped playbook as a user does, with variables; return its exit status and all it printed."""

    def run(name: str, *options: str, inventory: Path = INVENTORY, **variables: Any) -> tuple[int, str]:
        command = ["ansible-playbook", "-i", inventory, *options, f"asgi.deploy.{name}", "-e", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout + done.stderr

    return run
