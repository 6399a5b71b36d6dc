"""The judges: containers beside each machine with third-party programs that check its site."""

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
import scenario

SCENARIO = Path(__file__).parents[1]
MACHINES = scenario.machines(SCENARIO / "inventory")
CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"
TRUSTED_HERE = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
IMAGE = "asgi-judge"


def docker(*arguments: str | Path, **options: Any) -> str:
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True, **options).stdout


@dataclass(frozen=True)
class Judge:
    """The container with third-party programs for a machine."""

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

    def run(self, *command: str, stdin: str = "", timeout: float = 120) -> str:
        """Run *command* with *stdin*, and return its output, whatever its status.

        A program with findings often exits with another status than 0.
        """
        container = ["docker", "exec", "--interactive", self.container, "timeout", str(timeout)]
        done = subprocess.run([*container, *command], input=stdin, capture_output=True, text=True, check=False)
        assert done.stdout, f"{command[0]} printed nothing and ended with {done.returncode}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Judge]]:
    """The judge of each machine, by its name."""
    context = tmp_path_factory.mktemp("judge")
    shutil.copytree(SCENARIO / "judge", context, dirs_exist_ok=True)
    # An unchanged file keeps the layers of the image, so only the first run installs packages.
    (context / "ca-certificates.crt").write_bytes(TRUSTED_HERE.read_bytes())
    docker("build", "--quiet", "--build-arg", "BASE=asgi-target:13", "--tag", IMAGE, context)
    containers = {machine: Judge(machine) for machine in MACHINES}
    try:
        for judge in containers.values():
            judge.remove()
            judge.start()
        yield containers
    finally:
        for judge in containers.values():
            judge.remove()


@pytest.fixture(scope="session")
def at_once(judges: dict[str, Judge]):
    """Return a function that runs a function of a judge for all machines at once and returns the results by machine."""

    def run(function) -> dict[str, Any]:
        with ThreadPoolExecutor() as pool:
            return dict(zip(judges, pool.map(function, judges.values()), strict=True))

    return run
