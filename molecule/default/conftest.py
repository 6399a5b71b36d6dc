"""The apps of this scenario, each on each machine."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probe
import pytest
import scenario
import testinfra
import yaml
from scenario import Playbook
from testinfra.host import Host

INVENTORY = Path(__file__).parent / "inventory"
MACHINES = scenario.machines(INVENTORY)
APPS = [yaml.safe_load(path.read_text()) for path in sorted((INVENTORY / "group_vars").glob("*.yml"))]


@dataclass(frozen=True)
class App:
    """An app on a machine."""

    machine: str
    host: Host
    variables: dict[str, Any]

    @property
    def name(self) -> str:
        return self.variables["asgi_name"]

    @property
    def inventory_name(self) -> str:
        return f"{self.machine.removeprefix('asgi-default-')}-{self.name}"

    @property
    def limit(self) -> tuple[str, str]:
        """Return the options that restrict a playbook to this app."""
        return "--limit", self.inventory_name

    @property
    def server_name(self) -> str:
        return self.variables["asgi_proxy_server_names"][0]

    @property
    def probe_path(self) -> str:
        return self.variables.get("asgi_server_probe_path", "/health")

    @property
    def live(self) -> str:
        """Return the slot that receives traffic."""
        return Path(self.host.file(f"/run/{self.name}/live.sock").linked_to).stem

    @property
    def idle(self) -> str:
        return {"blue": "green", "green": "blue"}[self.live]

    def service(self, slot: str) -> str:
        return f"{self.name}@{slot}.service"

    def property_of(self, unit: str, name: str) -> str:
        return self.host.check_output(f"systemctl show --value --property={name} {unit}")

    @property
    def master(self) -> str:
        """Return the process id of the server's master."""
        return self.property_of(self.service(self.live), "MainPID")

    @property
    def workers(self) -> set[str]:
        return scenario.children(self.host, self.master)

    def fingerprint(self) -> tuple[str, str]:
        """Return path, modification time, size and link target of all files of a deployment, and the state of its units.

        The change time is left out: releases share files with uv's cache, and a new hard link changes it. Counters of requests are
        left out, too: a request is enough to change them.
        """
        find = (
            f"find /etc /opt /srv /run/{self.name} /usr/local /var/lib/dpkg -type f,l,s ! -name '.*lock' "
            "! -path '/run/*/counters/*' -printf '%p %T@ %s %l\\n'"
        )
        units = f"systemctl show --property=Id,ActiveState,MainPID '{self.name}@*' nginx.service"
        return self.host.check_output(find), self.host.check_output(units)

    def journal(self, options: str = "") -> str:
        """Return the journal of the machine."""
        return self.host.check_output(f"journalctl --sync && journalctl --no-pager --output=cat {options}")

    def metrics(self, path: str = "/metrics") -> str:
        """Return the metrics that Prometheus reads on the machine."""
        return scenario.fetch(self.host, f"http://127.0.0.1:9464{path}")

    def counted(self, route: str) -> dict[tuple[str, str], int]:
        """Return the value of the request counter of a route, by slot and release."""
        counters: Counter[tuple[str, str]] = Counter()
        for text, number in re.findall(r"^asgi_requests_total{(.*)} (\S+)$", self.metrics(), re.MULTILINE):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
            if labels["route"] == route:
                counters[labels["slot"], labels["release"]] += int(float(number))
        return counters

    def ask(self, path: str, **options: Any) -> probe.Answer:
        """Send a request from outside the machine, over HTTPS unless `tls=False`."""
        return probe.ask(self.server_name, self.port(443 if options.get("tls", True) else 80), path, **options)

    def json(self, path: str, **options: Any) -> Any:
        answer = self.ask(path, **options)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def port(self, inside: int) -> int:
        return scenario.published_port(self.machine, inside)


ALL_APPS = [App(machine, testinfra.get_host(f"docker://{machine}"), app) for machine in MACHINES for app in APPS]


def label(app: App) -> str:
    return f"{app.machine}-{app.name}"


@pytest.fixture(params=ALL_APPS, ids=label)
def app(request: pytest.FixtureRequest) -> App:
    """Every app on every machine."""
    return request.param


@pytest.fixture(params=[app for app in ALL_APPS if app.name == "hello"], ids=label)
def hello(request: pytest.FixtureRequest) -> App:
    """The bundled app, on every machine."""
    return request.param


@pytest.fixture(params=[app for app in ALL_APPS if app.name == "titiler"], ids=label)
def titiler(request: pytest.FixtureRequest) -> App:
    """The app from the package index, on every machine."""
    return request.param


@pytest.fixture
def hellos() -> list[App]:
    """The bundled app of all machines, for playbooks that run on all of them."""
    return [app for app in ALL_APPS if app.name == "hello"]


@pytest.fixture
def titilers() -> list[App]:
    return [app for app in ALL_APPS if app.name == "titiler"]


@pytest.fixture
def one_hello(hellos: list[App]) -> App:
    """The bundled app on the first machine, for tests that do not depend on the machine."""
    return hellos[0]


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(INVENTORY)


@pytest.fixture
def plant(one_hello: App, request: pytest.FixtureRequest):
    """Return a function that plants a fault with a shell command. Its repair runs at the end of the test."""
    repairs = []

    def run(fault: str, repair: str = ":") -> None:
        repairs.append(repair)
        one_hello.host.check_output("sh -c %s", request.module.PRELUDE + fault)

    yield run
    for repair in reversed(repairs):
        one_hello.host.check_output("sh -c %s", request.module.PRELUDE + repair)
    assert one_hello.ask("/health").status == 200
