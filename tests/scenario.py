"""Helpers of the Molecule scenarios: machines, published ports, playbooks, and clients that send requests during a test."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml
from testinfra.host import Host

# Molecule forces colours, which would split the words that the tests search for.
ENVIRONMENT = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}


def machines(inventory: Path) -> list[str]:
    """Return the names of the containers of *inventory*."""
    return [
        target["name"] for target in yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["vars"]["targets"]
    ]


def published_port(container: str, port: int) -> int:
    """Return the port of this computer that Docker publishes for *port* of *container*. The port changes with each start."""
    published = subprocess.check_output(["docker", "port", container, str(port)], text=True)
    return int(published.splitlines()[0].rpartition(":")[2])


def fetch(host: Host, url: str) -> str:
    """Return the body that *host* receives from *url*."""
    program = f"import urllib.request as r; print(r.urlopen('{url}').read().decode())"
    return host.check_output("python3 -c %s", program)


def children(host: Host, pid: str) -> set[str]:
    """Return the process ids of the children of *pid*."""
    return set(host.check_output(f"cat /proc/{pid}/task/{pid}/children").split())


class Run(NamedTuple):
    """The result of a playbook."""

    status: int
    output: str


class Runner:
    """Calls *run*, which returns a Run. `succeeds` and `fails` also assert its status, and return its output."""

    def __init__(self, run: Callable[..., Run]) -> None:
        self._run = run

    def __call__(self, *arguments: Any, **options: Any) -> Run:
        return self._run(*arguments, **options)

    def succeeds(self, *arguments: Any, **options: Any) -> str:
        status, output = self(*arguments, **options)
        assert status == 0, output
        return output

    def fails(self, *arguments: Any, **options: Any) -> str:
        status, output = self(*arguments, **options)
        assert status != 0, output
        return output


class Playbook(Runner):
    """Runs the playbooks of the collection as an operator does.

    *name* is a playbook of the collection, or a .yml file beside the inventory. *options* apply to all playbooks; if they contain
    several limits, the last one applies.
    """

    def __init__(self, inventory: Path, *options: str, timeout: float | None = None) -> None:
        super().__init__(self._play)
        self._inventory = inventory
        self._options = options
        self._timeout = timeout

    def command(self, name: str, *options: str, inventory: Path | None = None, **variables: Any) -> list[str]:
        playbook = str(self._inventory.parent / name) if name.endswith(".yml") else f"asgi.deploy.{name}"
        source = ["-i", str(inventory or self._inventory)]
        return ["ansible-playbook", *source, *self._options, *options, playbook, "-e", json.dumps(variables)]

    def _play(self, name: str, *options: str, **arguments: Any) -> Run:
        done = subprocess.run(
            self.command(name, *options, **arguments),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env={**os.environ, **ENVIRONMENT},
            timeout=self._timeout,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)


class Visitors:
    """Clients that repeat a request during a `with` statement. *ask* sends it and returns the status of the answer."""

    def __init__(self, ask: Callable[[], int], count: int = 1, pause: float = 0) -> None:
        self.statuses: list[int] = []
        self.errors: list[OSError] = []
        self._ask = ask
        self._pause = pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _number in range(count)]

    def _visit(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.statuses.append(self._ask())
            except OSError as exc:
                self.errors.append(exc)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
