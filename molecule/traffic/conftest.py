"""The sites of this scenario, and the results of running all disturbances once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from traffic import catalogue, session
from traffic.catalogue import STOCK_SHAPE
from traffic.playbooks import Operator
from traffic.report import latency, table
from traffic.session import Result
from traffic.sites import MACHINE, NEXT, OURS, STOCK, OurSite

RESULTS = Path(os.environ.get("TRAFFIC_RESULTS", Path(__file__).parents[2] / ".cache" / "traffic" / "results.jsonl"))

STOCK_RELOADS = 4
STOCK_SESSIONS = 5


@pytest.fixture(scope="session")
def site() -> OurSite:
    return OURS


@pytest.fixture(scope="session")
def results() -> Path:
    """The file with all results."""
    return RESULTS


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(OURS, Path(__file__).parent / "inventory", tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def ours(operator: Operator) -> list[Result]:
    """The results of all disturbances of our site."""
    results = session.run(OURS, catalogue.of_ours(operator), results=RESULTS)
    print(f"\n{table(results)}\n{latency(results, catalogue.REPLACING)}\n")
    if any(result.figures.lost for result in results if result.name in catalogue.LOSSLESS):
        print(f"error log of nginx:\n{MACHINE.sh('tail -n 40 /var/log/nginx/traffic.error.log')}\n")
    return results


@pytest.fixture(scope="session")
def reloads_of_nginx(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """The results of reloads of an nginx with keepalive_min_timeout."""
    operator = Operator(NEXT, Path(__file__).parent / "inventory", tmp_path_factory.mktemp("next"))
    disturbances = catalogue.of_nginx(operator)
    results = session.run(NEXT, disturbances, shape=catalogue.IDLE_SHAPE, quiet_seconds=2, results=RESULTS)
    print(f"\n{table(results)}\n")
    return results


@pytest.fixture(scope="session")
def stock() -> list[Result]:
    """The results of reloads of the stock recipe, which are repeated a limited number of times until a request is lost."""
    results: list[Result] = []
    for _attempt in range(STOCK_SESSIONS):
        disturbances = catalogue.of_stock(STOCK, STOCK_RELOADS)
        results += session.run(STOCK, disturbances, shape=STOCK_SHAPE, quiet_seconds=2, results=RESULTS)
        if sum(result.figures.lost for result in results):
            break
    print(f"\n{table(results)}\n")
    return results
