"""What is counted survives whatever happens to workers, to the last request; and counting never stops an app."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from worker.clients import Connection, load
from worker.matrix import NEWEST, ROOT
from worker.service import wait_for

PROGRAM = ROOT / "roles/asgi_server/files/srv/app/metrics_exporter.py"

HOOKS = """
import os
os.environ["RUNTIME_DIRECTORY"] = {runtime!r}
import asgi_deploy_metrics
on_starting, pre_fork, post_fork, child_exit = asgi_deploy_metrics.hooks(on_starting, child_exit, buckets=[0.1, 1])
"""

SHOW = """
import sys
from pathlib import Path
sys.path.append({directory!r})
import metrics_exporter
print(metrics_exporter.exposition("no-such-app", Path({run!r})))
"""


class Measured:
    """A service that is measured, and what Prometheus would read of it."""

    def __init__(self, start, corner, run: Path, more: str = "", **settings) -> None:
        self.runtime = run / "metrics/blue"
        self.runtime.mkdir(parents=True)
        self._python, self._run = corner.interpreter(), run
        self.service = start(more=HOOKS.format(runtime=str(self.runtime)) + more, **settings)

    def read(self) -> Counter:
        """Return the sums of all series of each name, and of those with each label."""
        source = SHOW.format(directory=str(PROGRAM.parent), run=str(self._run))
        text = subprocess.run([self._python, "-c", source], check=True, capture_output=True, text=True).stdout
        found: Counter = Counter()
        for name, labels, value in re.findall(r"^(\w+)(?:{(.*)})? (\S+)$", text, re.MULTILINE):
            found[name] += float(value)
            for label in labels.split(","):
                found[f"{name} {label}"] += float(value)
        return found

    def ask(self, times: int, target: str = "/") -> None:
        async def asked():
            connection = await Connection.open(self.service.address)
            for _time in range(times):
                if (await connection.ask(target)).closes:
                    connection = await Connection.open(self.service.address)

        asyncio.run(asked())

    def files(self) -> list[str]:
        return sorted(path.name for path in self.runtime.glob("*/counter_*"))


@pytest.fixture
def measured(start, corner, tmp_path):
    return lambda more="", **settings: Measured(start, corner, tmp_path / "run", more, **settings)


def test_what_is_counted(measured):
    app = measured(workers=1)

    app.ask(3)
    app.ask(2, "/items/1")
    app.ask(1, "/items/2")

    found = app.read()
    assert found["asgi_requests_total"] == 6
    assert found['asgi_requests_total route="/items/{id}"'] == 3
    assert found['asgi_requests_total status="200"'] == 6
    assert found['asgi_requests_total method="GET"'] == 6
    assert found["asgi_request_duration_seconds_count"] == 6
    assert found['asgi_request_duration_seconds_bucket le="+Inf"'] == 6
    wait_for("nothing to be in flight", lambda: app.read()["asgi_requests_in_flight"] == 0)
    assert found["asgi_workers"] == found["asgi_worker_starts_total"] == 1
    assert found['asgi_requests_total slot="blue"'] == 6
    assert {key.partition(" ")[2] for key in found if "release=" in key} == {'release="worker-matrix"'}


def test_counts_survive_recycling(measured):
    app = measured(max_requests=150)
    totals = []
    with load(app.service.address) as counts:
        deadline = time.monotonic() + 60
        while app.service.said("This worker drains") < 6 and time.monotonic() < deadline:
            totals.append(app.read()["asgi_requests_total"])
    assert app.service.said("This worker drains") >= 6

    assert counts.lost == []
    found = app.read()
    assert found["asgi_requests_total"] == counts.answered
    assert totals == sorted(totals)
    assert found["asgi_worker_starts_total"] >= 8
    assert found["asgi_worker_drains_total"] >= 6
    wait_for("the surplus to go", lambda: app.read()["asgi_workers"] == 2)
    assert len(app.files()) <= 6, "there are as many as there were workers at once"


def test_counts_survive_a_reload(measured):
    app = measured()
    with load(app.service.address) as counts:
        for _time in range(2):
            app.service.reload()

    assert app.read()["asgi_requests_total"] == counts.answered
    assert app.read()["asgi_workers"] == 2
    assert app.read()["asgi_worker_drains_total"] == 4
    assert app.read()["asgi_worker_crashes_total"] == 0


def test_counts_survive_a_worker_that_is_killed(measured):
    app = measured()
    app.ask(50)

    async def killed():
        connection = await Connection.open(app.service.address)
        await connection.send("/gate")
        await asyncio.to_thread(wait_for, "it to be there", lambda: app.read()["asgi_requests_in_flight"] == 1)
        for worker in app.service.workers():
            os.kill(worker, signal.SIGKILL)

    asyncio.run(killed())
    wait_for("two others", lambda: app.read()["asgi_workers"] == 2)
    app.ask(50)

    found = app.read()
    assert found["asgi_requests_total"] == 100, "the one that was under way has had no answer"
    wait_for("nothing to be in flight", lambda: app.read()["asgi_requests_in_flight"] == 0)
    assert found["asgi_worker_starts_total"] == 4
    assert found["asgi_worker_drains_total"] == 0
    assert found["asgi_worker_crashes_total"] == 2


def test_counts_survive_a_restart(measured):
    app = measured()
    app.ask(5)
    app.service.stop()
    app.service.start()
    app.ask(5)

    assert app.read()["asgi_requests_total"] == 10


def test_what_another_release_has_counted_in_the_slot_goes(measured, tmp_path):
    other = tmp_path / "run/metrics/blue/r0.c0"
    app = measured(more=f"import os; os.makedirs({str(other)!r}, exist_ok=True)\n")
    app.ask(1)

    assert not other.exists()
    assert app.read()["asgi_requests_total"] == 1


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
@pytest.mark.parametrize(
    "hindrance",
    ["import sys; sys.modules['prometheus_client'] = None", "os.environ['RUNTIME_DIRECTORY'] = '/nonexistent'"],
)
def test_an_app_that_cannot_be_measured_serves(measured, hindrance):
    """Its release has no prometheus-client; there is no place for the files."""
    app = measured(more=f"{hindrance}\n")

    app.ask(3)

    assert app.service.said("Nothing is measured")
    assert app.read()["asgi_requests_total"] == 0


SERIES = """
import sys
sys.path.append({configs!r})
from asgi_deploy_metrics import Metrics
from prometheus_client import CollectorRegistry
registry = CollectorRegistry()
metrics = Metrics(registry, [1])
for number in range(2000):
    metrics._count({{"method": f"M{{number}}", "route": None}}, 200, 0.1)
    metrics._count({{"method": "GET", "route": type("Route", (), {{"path": f"/{{number}}"}})}}, 200, 0.1)
[requests] = [family for family in registry.collect() if family.name == "asgi_requests"]
totals = [sample for sample in requests.samples if sample.name.endswith("_total")]
print(len(totals), sum(sample.value for sample in totals), len(metrics._series))
"""


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
def test_a_client_cannot_make_up_ever_more_series(corner):
    command = [corner.interpreter(), "-c", SERIES.format(configs=str(PROGRAM.parent / "configs"))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    # 499 routes beside the empty one, the rest, and the methods that nobody knows
    assert said == ["501", "4000.0", "499"]
