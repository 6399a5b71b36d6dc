"""The fleet, clients that come through its balancers, releases that not every host can run, and who deploys them."""

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
from fleet.hosts import BROKEN, SHAPE, Fleet, Run, kill
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
    """Return the variables that deploy another release, one that does not start where Host.fault is."""
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


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a shipped playbook as a user does, with variables; none outlives its test."""
    with ExitStack() as running:

        def begin(name: str, *options: str, **variables: Any) -> subprocess.Popen[str]:
            inventory = ["-i", str(SCENARIO / "inventory")]
            command = ["ansible-playbook", *inventory, *options, f"asgi.deploy.{name}", "-e", json.dumps(variables)]
            process = subprocess.Popen(
                command,
                start_new_session=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            )
            running.callback(kill, process)
            return process

        yield begin


@pytest.fixture
def playbook(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Run]:
    """Run a shipped playbook to its end."""

    def run(name: str, *options: str, **variables: Any) -> Run:
        process = start(name, *options, **variables)
        said, _nothing = process.communicate()
        return Run(process.returncode, said)

    return run


@pytest.fixture
def under_traffic(fleet: Fleet, tmp_path: Path) -> Callable[..., Figures]:
    """Do something while clients ask through a balancer, the first one unless *site* is another, and return what they saw.

    *unknown* are the hosts that cannot be asked afterwards what they have executed.
    """

    def watch(
        action: Callable[[], Any], site: Site | None = None, shape: Shape = SHAPE, unknown: tuple[str, ...] = ()
    ) -> Figures:
        fleet.forget_executed()
        journal = tmp_path / "journal"
        with session.clients(site or fleet.balancers[0].site, shape, journal):
            # on a busy computer that takes a while
            wait_for(lambda: fleet.executed().total() >= shape.askers, "the clients")
            began = time.monotonic()
            action()
            time.sleep(1)
        window = Window("all", began, time.monotonic(), time.monotonic())
        with fileinput.FileInput([journal], encoding="utf-8") as lines:
            events = Events.of(json.loads(line) for line in lines)
        [found] = count([window], events, fleet.executed(unknown))
        print(f"\n{found.requests:,} requests: {found.lost} lost {found.faults or ''}, worst {found.worst} ms")
        return found

    return watch
