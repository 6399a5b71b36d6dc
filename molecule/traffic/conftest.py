"""The sites of this scenario, and what the clients lived through: everything is disturbed once, then asked about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from traffic import catalogue, session
from traffic.catalogue import STOCK_SHAPE
from traffic.playbooks import Operator
from traffic.report import latency, table
from traffic.session import Result
from traffic.sites import MACHINE, OURS, STOCK, OurSite

RESULTS = Path(os.environ.get("TRAFFIC_RESULTS", Path(__file__).parents[2] / ".cache" / "traffic" / "results.jsonl"))

STOCK_RELOADS = 4
STOCK_SESSIONS = 5


@pytest.fixture(scope="session")
def site() -> OurSite:
    return OURS


@pytest.fixture(scope="session")
def results() -> Path:
    """The file that all results are appended to."""
    return RESULTS


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(OURS, Path(__file__).parent / "inventory", tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def ours(operator: Operator) -> list[Result]:
    """What each disturbance of our site cost."""
    found = session.run(OURS, catalogue.of_ours(operator), results=RESULTS)
    print(f"\n{table(found)}\n{latency(found, catalogue.REPLACING)}\n")
    if any(result.figures.lost for result in found if result.name in catalogue.LOSSLESS):
        print(f"what nginx said of it:\n{MACHINE.sh('tail -n 40 /var/log/nginx/traffic.error.log')}\n")
    return found


@pytest.fixture(scope="session")
def stock() -> list[Result]:
    """What reloading the stock recipe cost: as often as it takes to see it, within bounds."""
    found: list[Result] = []
    for _attempt in range(STOCK_SESSIONS):
        disturbances = catalogue.of_stock(STOCK, STOCK_RELOADS)
        found += session.run(STOCK, disturbances, shape=STOCK_SHAPE, quiet_seconds=2, results=RESULTS)
        if sum(result.figures.lost for result in found):
            break
    print(f"\n{table(found)}\n")
    return found
