"""The judges: programs of others in a container beside each machine, which finds that machine's site by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

SCENARIO = Path(__file__).parents[1]
MACHINES = [
    target["name"]
    for target in yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text())["all"]["vars"]["targets"]
]
CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"
TRUSTED_HERE = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
IMAGE = "asgi-judge"


def docker(*arguments: str | Path, **options: Any) -> str:
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True, **options).stdout


@dataclass(frozen=True)
class Judge:
    """The container beside one machine."""

    machine: str

    @property
    def container(self) -> str:
        return f"{self.machine}-judge"

    def start(self) -> None:
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.machine).strip()
        docker("run", "--detach", "--name", self.container, "--add-host", f"hello.test:{address}", IMAGE)
        docker("cp", CA, f"{self.container}:/ca.crt", stderr=subprocess.DEVNULL)

    def remove(self) -> None:
        subprocess.run(["docker", "rm", "--force", self.container], capture_output=True, check=False)

    def run(self, *command: str, said: str = "", timeout: float = 120) -> str:
        """Run *command* there, with *said* on its standard input, and return what it prints, whatever its status.

        A judge that finds something often ends with another status than 0.
        """
        container = ["docker", "exec", "--interactive", self.container, "timeout", str(timeout)]
        done = subprocess.run([*container, *command], input=said, capture_output=True, text=True, check=False)
        assert done.stdout, f"{command[0]} said nothing and ended with {done.returncode}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Judge]]:
    """The judge of every machine, by the machine's name."""
    context = tmp_path_factory.mktemp("judge")
    shutil.copytree(SCENARIO / "judge", context, dirs_exist_ok=True)
    # the same bytes give the same layers, so only the first run installs anything
    (context / "ca-certificates.crt").write_bytes(TRUSTED_HERE.read_bytes())
    docker("build", "--quiet", "--build-arg", "BASE=asgi-target:13", "--tag", IMAGE, context)
    found = {machine: Judge(machine) for machine in MACHINES}
    try:
        for judge in found.values():
            judge.remove()
            judge.start()
        yield found
    finally:
        for judge in found.values():
            judge.remove()


@pytest.fixture(scope="session")
def at_once(judges: dict[str, Judge]):
    """Run a function of a judge for every machine at the same time; return the results by the machine's name."""

    def run(function) -> dict[str, Any]:
        with ThreadPoolExecutor() as pool:
            return dict(zip(judges, pool.map(function, judges.values()), strict=True))

    return run
