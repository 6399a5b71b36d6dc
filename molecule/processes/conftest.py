"""Fixtures for the hosts, the app and the control of this scenario."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import session
from processes.hosts import APP, JobsHost
from processes.session import Result
from traffic.playbooks import Operator
from traffic.sites import Machine, OurSite, StockSite

HERE = Path(__file__).parent
RESULTS = Path(os.environ.get("PROCESSES_RESULTS", HERE.parents[1] / ".cache" / "processes" / "results.jsonl"))
SHARED = f"/srv/{APP}/shared"
HOSTS = [
    JobsHost("Debian 12", Machine("asgi-processes-debian12"), "jobs.test", SHARED, APP, "debian12-jobs", first=True),
    JobsHost("Debian 13", Machine("asgi-processes-debian13"), "jobs.test", SHARED, APP, "debian13-jobs"),
]
STOCK = StockSite("control", HOSTS[1].machine, "", "/srv/stock", unit="stock.service")
ALL = OurSite("all", HOSTS[1].machine, "jobs.test", SHARED, APP)


@pytest.fixture(params=HOSTS, ids=lambda host: host.host)
def host(request: pytest.FixtureRequest) -> JobsHost:
    """Every machine."""
    return request.param


@pytest.fixture(scope="session")
def hosts() -> list[JobsHost]:
    return HOSTS


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Runs playbooks on both machines."""
    return Operator(ALL, HERE / "inventory", tmp_path_factory.mktemp("operator"), HERE / "app")


@pytest.fixture(scope="session")
def measured(operator: Operator) -> Callable[[int, int, int], tuple[Result, Result]]:
    """Returns the figures of the app and of the control."""

    def measure(activations: int, jobs: int, restarts: int) -> tuple[Result, Result]:
        ours = session.run(operator, HOSTS, activations, jobs)
        print(f"\n{ours}\n")
        ours.append_to(RESULTS)
        stock = session.run_stock(HOSTS[1], STOCK, restarts)
        print(f"\ncontrol, systemctl restart\n{stock}\n")
        return ours, stock

    return measure
