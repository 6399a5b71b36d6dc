"""The five sites of this scenario, and what their clients lived through: all are disturbed at once, then asked about."""

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
    """Who runs playbooks for all five."""
    return Operator(SITES["djangoasgi"], HERE / "inventory", tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def results(operator: Operator, tmp_path_factory) -> dict[str, list[Result]]:
    """What a reload and a deploy of all cost each of them."""
    actions = []
    for number in range(ROUNDS):
        release = another_release(tmp_path_factory.mktemp("sources"), number)
        actions += [
            ("reload", lambda: operator.play("reload"), False),
            ("deploy", lambda release=release: operator.play("deploy", servers_sources=str(release)), True),
        ]
    shared = [(name, Together(len(SITES), action), replaces) for name, action, replaces in actions]

    def disturb(site: OurSite) -> list[Result]:
        disturbances = [Disturbance(name, action, replaces=replaces) for name, action, replaces in shared]
        return session.run(site, disturbances, shape=SHAPE, quiet_seconds=1)

    with ThreadPoolExecutor(len(SITES)) as pool:
        found = dict(zip(SITES, pool.map(disturb, SITES.values()), strict=True))
    for name, its in found.items():
        print(f"\n{SITES[name].label}\n{table(its)}")
    return found


def another_release(directory: Path, number: int) -> Path:
    """Return a directory with the sources of all apps, each of which is another release than any before."""
    for source in (HERE / "apps/django", HERE / "apps/flask", HERE.parents[1] / "tests/traffic/app"):
        copy = directory / source.name
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "variant.json").write_text(json.dumps({"label": str(number)}))
    return directory


class Together:
    """What several sessions do together: each of them waits until it is done, by one of them."""

    def __init__(self, sessions: int, action: Callable[[], None]) -> None:
        self._action = action
        self._barrier = threading.Barrier(sessions)

    def __call__(self) -> None:
        try:
            if self._barrier.wait() == 0:
                self._action()
        finally:
            self._barrier.wait()
