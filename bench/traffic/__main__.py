"""Repeat the disturbances of the traffic scenario, on our site and the stock recipe, and write docs/benchmarks.

Each round appends its results to a file, and the next run continues from it. Every run ends by writing the pages from all
results.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from traffic import catalogue, session
from traffic.counting import QUIET, WARM_UP
from traffic.playbooks import Operator
from traffic.report import table
from traffic.session import Result
from traffic.sites import MACHINE, OURS, STOCK

from bench.traffic import pages

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / ".cache" / "bench" / "results.jsonl"
INVENTORY = PROJECT / "molecule" / "traffic" / "inventory"

STOCK_RELOADS = 24


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.traffic", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000, help="minimum for our site (%(default)s)")
    parser.add_argument("--disturbances", type=int, default=200, help="minimum for our site (%(default)s)")
    parser.add_argument("--minutes", type=float, default=90, help="time after which no round starts (%(default)s)")
    parser.add_argument("--rounds", type=int, default=sys.maxsize, help="maximum number of rounds of this run")
    arguments = parser.parse_args()

    deadline = time.monotonic() + arguments.minutes * 60
    results = session.read(RESULTS) if RESULTS.exists() else []
    with tempfile.TemporaryDirectory() as work:
        operator = Operator(OURS, INVENTORY, Path(work))
        rounds = 0
        while not enough(results, arguments.requests, arguments.disturbances):
            if rounds == arguments.rounds or time.monotonic() > deadline:
                print("incomplete; run it again to continue")
                break
            rounds += 1
            results += one_round(operator, deadline)
    (PROJECT / "docs" / "benchmarks").mkdir(parents=True, exist_ok=True)
    for name, text in pages.render(results, versions()).items():
        (PROJECT / "docs" / "benchmarks" / name).write_text(text, encoding="utf-8")
    print(f"\n{pages.totals(results)}\nwritten to docs/benchmarks")
    if pages.losses(results) or any(result.failure for result in results):
        sys.exit("requests were lost, or an action failed")


def one_round(operator: Operator, deadline: float) -> list[Result]:
    """Run every lossless disturbance on our site, then reload the stock recipe."""
    # The previous round changed the configuration.
    operator.start_over()
    ours = [disturbance for disturbance in catalogue.of_ours(operator) if disturbance.name in catalogue.LOSSLESS]
    results = session.run(OURS, ours, deadline=deadline, results=RESULTS)
    if time.monotonic() > deadline:
        return results
    reloads = catalogue.of_stock(STOCK, STOCK_RELOADS)
    results += session.run(
        STOCK, reloads, shape=catalogue.STOCK_SHAPE, quiet_seconds=2, deadline=deadline, results=RESULTS
    )
    print(f"\n{table(results)}\n", flush=True)
    return results


def enough(results: list[Result], requests: int, disturbances: int) -> bool:
    ours = [result for result in results if result.site == OURS.label]
    return (
        sum(result.figures.requests for result in ours) >= requests
        and sum(result.name not in (WARM_UP, QUIET) for result in ours) >= disturbances
    )


def versions() -> dict[str, str]:
    """Return the hardware and the versions of the measured software."""
    packages = json.loads(MACHINE.sh("cat /srv/traffic/current/release.json"))["packages"]
    return {
        "processor": f"{MACHINE.sh('nproc')} cores, {cpu_model()}",
        "kernel": MACHINE.sh("uname -r").split("-")[0],
        "machine": f"{MACHINE.sh('. /etc/os-release; echo $PRETTY_NAME')} in a container, "
        f"systemd {MACHINE.sh('systemctl --version').split()[1]}",
        "nginx": MACHINE.sh("nginx -v 2>&1").rpartition("/")[2],
        "Python": MACHINE.sh("python3 --version").split()[1],
        **{
            name: packages[name] for name in ("gunicorn", "uvicorn", "uvicorn-worker", "uvloop", "httptools", "fastapi")
        },
    }


def cpu_model() -> str:
    lines = MACHINE.sh("cat /proc/cpuinfo").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
