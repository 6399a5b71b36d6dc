"""Counters survive the end of workers without losing a request, and metrics never stop an app."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import struct
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
os.environ["ASGI_METRICS_DIRECTORY"] = {slot!r}
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
    """A service with metrics."""

    def __init__(self, start, corner, run: Path, more: str = "", **settings) -> None:
        self.slot = run / "counters/blue"
        self.slot.parent.mkdir(parents=True)
        self._python, self._run = corner.interpreter(), run
        self.service = start(more=HOOKS.format(slot=str(self.slot)) + more, **settings)

    def read(self) -> Counter:
        """Return the sum of all series by name, and by name and label."""
        source = SHOW.format(directory=str(PROGRAM.parent), run=str(self._run))
        text = subprocess.run([self._python, "-c", source], check=True, capture_output=True, text=True).stdout
        sums: Counter = Counter()
        for name, labels, value in re.findall(r"^(\w+)(?:{(.*)})? (\S+)$", text, re.MULTILINE):
            sums[name] += float(value)
            for label in labels.split(","):
                sums[f"{name} {label}"] += float(value)
        return sums

    def ask(self, times: int, target: str = "/") -> None:
        async def send():
            connection = await Connection.open(self.service.address)
            for _time in range(times):
                if (await connection.ask(target)).closes:
                    connection = await Connection.open(self.service.address)

        asyncio.run(send())

    def files(self) -> list[str]:
        return sorted(path.name for path in self.slot.glob("*/counter_*"))


@pytest.fixture
def measured(start, corner, tmp_path):
    return lambda more="", **settings: Measured(start, corner, tmp_path / "run", more, **settings)


def test_metrics_of_requests_and_workers(measured):
    app = measured(workers=1)

    app.ask(3)
    app.ask(2, "/items/1")
    app.ask(1, "/items/2")

    values = app.read()
    assert values["asgi_requests_total"] == 6
    assert values['asgi_requests_total route="/items/{id}"'] == 3
    assert values['asgi_requests_total status="200"'] == 6
    assert values['asgi_requests_total method="GET"'] == 6
    assert values["asgi_request_duration_seconds_count"] == 6
    assert values['asgi_request_duration_seconds_bucket le="+Inf"'] == 6
    wait_for("nothing to be in flight", lambda: app.read()["asgi_requests_in_flight"] == 0)
    assert values["asgi_workers"] == values["asgi_worker_starts_total"] == 1
    assert values['asgi_requests_total slot="blue"'] == 6
    assert {key.partition(" ")[2] for key in values if "release=" in key} == {'release="worker-matrix"'}


def test_rejected_requests_are_counted(measured):
    app = measured(
        "import asgi_deploy_request\nasgi_deploy_request.limit_concurrency(1, except_path='/health')\n", workers=1
    )

    async def reject():
        busy, other = [await Connection.open(app.service.address) for _number in range(2)]
        await busy.send("/gate")
        await asyncio.sleep(0.3)
        assert (await other.ask("/")).status == 503
        app.service.gate.touch()
        await busy.answer()

    asyncio.run(reject())

    values = app.read()
    assert values["asgi_requests_rejected_total"] == 1
    assert values['asgi_requests_total status="503"'] == 1
    assert values['asgi_requests_total status="200"'] == 1


def test_counters_survive_recycling(measured):
    app = measured(max_requests=150)
    totals = []
    with load(app.service.address) as counts:
        deadline = time.monotonic() + 60
        while app.service.logged("This worker drains") < 6 and time.monotonic() < deadline:
            totals.append(app.read()["asgi_requests_total"])
    assert app.service.logged("This worker drains") >= 6

    assert counts.lost == []
    values = app.read()
    assert values["asgi_requests_total"] == counts.answered
    assert totals == sorted(totals)
    assert values["asgi_worker_starts_total"] >= 8
    assert values["asgi_worker_drains_total"] >= 6
    wait_for("surplus workers to exit", lambda: app.read()["asgi_workers"] == 2)
    assert len(app.files()) <= 6, "more files than concurrent workers"


def test_counters_survive_a_reload(measured):
    app = measured()
    with load(app.service.address) as counts:
        for _time in range(2):
            app.service.reload()

    assert app.read()["asgi_requests_total"] == counts.answered
    assert app.read()["asgi_workers"] == 2
    assert app.read()["asgi_worker_drains_total"] == 4
    assert app.read()["asgi_worker_crashes_total"] == 0


def test_counters_survive_killed_workers(measured):
    app = measured()
    app.ask(50)

    async def killed():
        connection = await Connection.open(app.service.address)
        await connection.send("/gate")
        await asyncio.to_thread(
            wait_for, "the request to be in flight", lambda: app.read()["asgi_requests_in_flight"] == 1
        )
        for worker in app.service.workers():
            os.kill(worker, signal.SIGKILL)

    asyncio.run(killed())
    wait_for("two new workers", lambda: app.read()["asgi_workers"] == 2)
    app.ask(50)

    values = app.read()
    assert values["asgi_requests_total"] == 100, "the request in flight must not count"
    wait_for("nothing to be in flight", lambda: app.read()["asgi_requests_in_flight"] == 0)
    assert values["asgi_worker_starts_total"] == 4
    assert values["asgi_worker_drains_total"] == 0
    assert values["asgi_worker_crashes_total"] == 2


def test_counters_survive_a_restart(measured):
    app = measured()
    app.ask(5)
    app.service.stop()
    app.service.start()
    app.ask(5)

    assert app.read()["asgi_requests_total"] == 10


def test_counters_of_another_release_in_the_slot_are_removed(measured, tmp_path):
    other = tmp_path / "run/counters/blue/r0.c0"
    app = measured(more=f"import os; os.makedirs({str(other)!r}, exist_ok=True)\n")
    app.ask(1)

    assert not other.exists()
    assert app.read()["asgi_requests_total"] == 1


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
@pytest.mark.parametrize(
    "fault",
    [
        "import sys; sys.modules['prometheus_client'] = None",
        "os.environ['ASGI_METRICS_DIRECTORY'] = '/nonexistent/blue'",
    ],
)
def test_app_serves_without_working_metrics(measured, fault):
    """Either prometheus-client or the directory of the counters is missing."""
    app = measured(more=f"{fault}\n")

    app.ask(3)

    assert app.service.logged("without metrics")
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
def test_number_of_series_is_limited(corner):
    command = [corner.interpreter(), "-c", SERIES.format(configs=str(PROGRAM.parent / "configs"))]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    # 499 routes, the empty route, and "other"; unknown methods share one series.
    assert output == ["501", "4000.0", "499"]


FULL = """
import os, resource, sys
sys.path.append({configs!r})
os.environ["PROMETHEUS_MULTIPROC_DIR"] = {directory!r}
import asgi_deploy_metrics, asgi_deploy_request
asgi_deploy_metrics.measure_as(0, [1])
asgi_deploy_request.measure(None)
from prometheus_client import Counter, Gauge
# Simulates a full file system by limiting the size of a file.
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
series = Counter("app_series", "of the app", ["number"])
known = series.labels("known")
known.inc()
for number in range(3000):
    series.labels(str(number)).inc()
known.inc()
Gauge("app_late", "of the app").set(1)
os.mkdir("{directory}/summary_0.db")
from prometheus_client import Summary
Summary("app_broken", "of the app").observe(1)
print("served")
"""


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
@pytest.mark.parametrize("limit", [4096, 16384, 65536])
def test_full_file_system_drops_only_new_series(corner, tmp_path, limit):
    """The app continues to serve, and existing series continue to count."""
    directory = tmp_path / "counters/blue/r1.c1"
    directory.mkdir(parents=True)
    source = FULL.format(configs=str(PROGRAM.parent / "configs"), directory=str(directory), limit=limit)
    done = subprocess.run([corner.interpreter(), "-c", source], check=False, capture_output=True, text=True)
    assert done.stdout == "served\n", done.stderr
    assert done.stderr.count("Cannot add series to") == 2, "once for each file"

    text = shown(corner, tmp_path)
    assert re.findall(r'^app_series_total{.*number="known".*} (\S+)$', text, re.MULTILINE) == ["2.0"]
    assert limit / 200 < text.count("app_series_total{") < limit / 60


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
def test_full_tmpfs_does_not_kill_the_process(corner, tmp_path):
    """Without protection, the kernel kills the writing process with SIGBUS if it cannot allocate a page."""
    source = FULL.format(configs=str(PROGRAM.parent / "configs"), directory="/mnt/r1", limit=1 << 30)
    mount = "mount -t tmpfs -o size=64k tmpfs /mnt && mkdir /mnt/r1 && head -c 20000 /dev/zero >/mnt/other && exec"
    command = ["unshare", "--mount", "sh", "-c", f'{mount} "$@"', "sh", corner.interpreter(), "-c", source]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip("mounts are not possible")
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr


def shown(corner, run: Path) -> str:
    source = SHOW.format(directory=str(PROGRAM.parent), run=str(run))
    return subprocess.run([corner.interpreter(), "-c", source], check=True, capture_output=True, text=True).stdout


HOSTILE = {
    "a line in the name of a metric": ["a 1\nup 0\n# TYPE b", "b_total", {}, "x"],
    "a line in the name of a sample": ["a", "a 1\nup 0\nb_total", {}, "x"],
    "a line in the name of a label": ["a", "a_total", {'b="c"} 1\nup 0\nd{e': "f"}, "x"],
    "a line in the value of a label": ["a", "a_total", {"b": 'c"} 1\nup 0\nd{e="f'}, "x"],
    "a line in the text": ["a", "a_total", {}, "x\nup 0\n"],
    "numbers": ["a", "a_total", {"b": 1}, 2],
    "lone surrogate": ["a", "a_total", {"b": "\ud800"}, "\udfff"],
    "too little": ["a"],
    "a bucket without a limit": ["asgi_request_duration_seconds", "x_bucket", {"le": "y"}, "x"],
    "nothing": None,
}


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
@pytest.mark.parametrize("kind", ["counter", "histogram", "gauge_all", "summary"])
def test_hostile_counters_add_no_line_and_remove_none(corner, tmp_path, kind):
    directory = tmp_path / "counters/blue/r1.c1"
    directory.mkdir(parents=True)
    good = encoded([["asgi_requests", "asgi_requests_total", {"route": "/"}, "x"]])
    (directory / "counter_0.db").write_bytes(good)
    for number, key in enumerate(HOSTILE.values(), start=1):
        (directory / f"{kind}_{number}.db").write_bytes(encoded([key]))

    lines = shown(corner, tmp_path).splitlines()

    assert [line for line in lines if line.startswith("up ")] == []
    assert [
        line for line in lines if line and not re.fullmatch(r'# .*|\w+({(\w+="([^"\\]|\\.)*",?)*})? \S+', line)
    ] == []
    assert len([line for line in lines if line.startswith("asgi_requests_total{")]) == 1


def encoded(keys: list) -> bytes:
    """Return the content of a counter file as prometheus-client writes it."""
    entries = b""
    for key in keys:
        text = json.dumps(key).encode()
        entries += struct.pack("=i", len(text)) + text + b" " * (8 - (len(text) + 4) % 8) + struct.pack("=dd", 1.0, 0.0)
    return struct.pack("=ii", 8 + len(entries), 0) + entries
