"""The fleet, clients of its balancers, and releases that do not start on hosts with a fault."""

from __future__ import annotations

import fileinput
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import scenario
from fleet.hosts import BROKEN, SHAPE, Fleet, kill
from scenario import Playbook
from traffic import session
from traffic.counting import Events, Figures, Window, count
from traffic.load import Shape
from traffic.playbooks import APP, wait_for
from traffic.sites import Site

SCENARIO = Path(__file__).parent


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet.of_the_scenario()


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, Any]]:
    """Return a function that returns the variables of a new release. It does not start on a host with Host.fault."""
    numbers = iter(range(100))

    def source() -> dict[str, Any]:
        directory = tmp_path_factory.mktemp("source") / "app"
        shutil.copytree(APP, directory, ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "variant.json").write_text(json.dumps({"label": str(next(numbers))}))
        text = (directory / "main.py").read_text()
        start = "async def lifespan(app: FastAPI) -> AsyncIterator[None]:\n"
        assert start in text
        (directory / "main.py").write_text(text.replace(start, start + BROKEN.lstrip("\n")))
        return {"asgi_app_source": {"path": str(directory)}}

    return source


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(SCENARIO / "inventory")


@pytest.fixture
def start(playbook: Playbook) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a playbook. The playbook is killed at the end of the test."""
    with ExitStack() as running:

        def begin(name: str, *options: str, **variables: Any) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                playbook.command(name, *options, **variables),
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **scenario.ENVIRONMENT},
            )
            running.callback(kill, process)
            return process

        yield begin


@pytest.fixture
def under_traffic(fleet: Fleet, tmp_path: Path) -> Callable[..., Figures]:
    """Return a function that runs an action while clients use *site*, by default the first balancer, and returns the figures.

    *unknown* are hosts whose executed requests cannot be read afterwards.
    """

    def watch(
        action: Callable[[], Any], site: Site | None = None, shape: Shape = SHAPE, unknown: tuple[str, ...] = ()
    ) -> Figures:
        fleet.clear_executed()
        journal = tmp_path / "journal"
        with session.clients(site or fleet.balancers[0].site, shape, journal):
            # On a busy computer this takes a while.
            wait_for(lambda: fleet.executed().total() >= shape.concurrency, "the clients")
            began = time.monotonic()
            action()
            time.sleep(1)
        window = Window("all", began, time.monotonic(), time.monotonic())
        with fileinput.FileInput([journal], encoding="utf-8") as lines:
            events = Events.of(json.loads(line) for line in lines)
        [figures] = count([window], events, fleet.executed(unknown))
        print(f"\n{figures.requests:,} requests: {figures.lost} lost {figures.faults or ''}, worst {figures.worst} ms")
        return figures

    return watch
