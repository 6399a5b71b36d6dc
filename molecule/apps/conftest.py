"""The machine of the apps, and its playbooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from apps.requests import MACHINE
from scenario import Playbook, published_port

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def port() -> int:
    return published_port(MACHINE, 443)


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(HERE / "inventory")
