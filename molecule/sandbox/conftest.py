"""The app, which runs the program of a package in its slot, and the releases with all packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import probe
import pytest
from scenario import Playbook, published_port

HERE = Path(__file__).parent
MACHINE = "asgi-sandbox-debian13"
# A release with all packages, including a browser and a Java runtime.
DEPLOY_SECONDS = 1800


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(HERE / "inventory", timeout=DEPLOY_SECONDS)


@pytest.fixture(scope="session")
def attempt() -> Callable[[str], dict[str, Any]]:
    """Return a function that runs the program of a package in the slot, and returns its exit status and output."""

    def run(name: str) -> dict[str, Any]:
        return probe.ask("tries.test", published_port(MACHINE, 443), f"/try/{quote(name)}", timeout=60).json()

    return run
