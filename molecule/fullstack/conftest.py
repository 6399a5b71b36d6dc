"""Fixtures for the machine and the playbooks of examples/fullstack."""

from __future__ import annotations

from pathlib import Path

import pytest
import scenario
import testinfra
from scenario import Playbook, published_port
from testinfra.host import Host

INVENTORY = Path(__file__).parent / "inventory"
[MACHINE] = scenario.machines(INVENTORY)


@pytest.fixture(scope="session")
def host() -> Host:
    return testinfra.get_host(f"docker://{MACHINE}")


@pytest.fixture(scope="session")
def port() -> int:
    return published_port(MACHINE, 443)


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(INVENTORY)
