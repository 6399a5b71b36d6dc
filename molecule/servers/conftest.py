"""The five sites of this scenario, and the results of disturbing all of them at once."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers.sites import SITES
from traffic import session
from traffic.load import Shape
from traffic.playbooks import Operator
from traffic.report import table
from traffic.session import Disturbance, Result
from traffic.sites import OurSite

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("SERVERS_ROUNDS", "1"))
SHAPE = Shape(clients=6, think=0.05, slow=2, slow_seconds=0.5, websockets=0, streams=0)


@pytest.fixture(scope="session")
def operator(tmp_path_factory) -> Operator:
    """Runs playbooks for all sites."""
    return Operator(SITES["djangoasgi"], HERE / "inventory", tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def results(operator: Operator, tmp_path_factory) -> dict[str, list[Result]]:
    """The results of a reload and a deploy of all sites."""
    actions = []
    for number in range(ROUNDS):
        release = new_release(tmp_path_factory.mktemp("sources"), number)
        actions += [
            ("reload", lambda: operator.play("reload"), False),
            ("deploy", lambda release=release: operator.play("deploy", servers_sources=str(release)), True),
        ]
    shared = [(name, SharedAction(len(SITES), action), replaces) for name, action, replaces in actions]

    def disturb(site: OurSite) -> list[Result]:
        disturbances = [Disturbance(name, action, replaces=replaces) for name, action, replaces in shared]
        return session.run(site, disturbances, shape=SHAPE, quiet_seconds=1)

    with ThreadPoolExecutor(len(SITES)) as pool:
        by_site = dict(zip(SITES, pool.map(disturb, SITES.values()), strict=True))
    for name, site_results in by_site.items():
        print(f"\n{SITES[name].label}\n{table(site_results)}")
    return by_site


def new_release(directory: Path, number: int) -> Path:
    """Return a directory with sources of all apps that differ from those of earlier releases."""
    for source in (HERE / "apps/django", HERE / "apps/flask", HERE.parents[1] / "tests/traffic/app"):
        copy = directory / source.name
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "variant.json").write_text(json.dumps({"label": str(number)}))
    return directory


class SharedAction:
    """An action that one of several sessions runs, while the others wait for its end."""

    def __init__(self, sessions: int, action: Callable[[], None]) -> None:
        self._action = action
        self._barrier = threading.Barrier(sessions)

    def __call__(self) -> None:
        try:
            if self._barrier.wait() == 0:
                self._action()
        finally:
            self._barrier.wait()
