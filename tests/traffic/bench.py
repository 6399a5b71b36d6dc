"""The traffic scenario at length: rounds of disturbances, ours and the stock recipe, until enough has been counted.

It is resumed where it was stopped: every round's results are appended to a file, and what stands there counts. The last
thing that it does, each time, is to write docs/benchmarks from all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from traffic import catalogue, document, session
from traffic.counting import QUIET, WARM_UP
from traffic.playbooks import Operator
from traffic.report import table
from traffic.session import Result
from traffic.sites import MACHINE, OURS, STOCK

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / ".cache" / "bench" / "results.jsonl"
INVENTORY = PROJECT / "molecule" / "traffic" / "inventory"

STOCK_RELOADS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000, help="of our site, at least (%(default)s)")
    parser.add_argument("--disturbances", type=int, default=200, help="of our site, at least (%(default)s)")
    parser.add_argument("--minutes", type=float, default=90, help="no round begins later than this (%(default)s)")
    parser.add_argument("--rounds", type=int, default=sys.maxsize, help="no more than so many rounds, this time")
    arguments = parser.parse_args()

    deadline = time.monotonic() + arguments.minutes * 60
    results = session.read(RESULTS) if RESULTS.exists() else []
    with tempfile.TemporaryDirectory() as work:
        operator = Operator(OURS, INVENTORY, Path(work))
        rounds = 0
        while not enough(results, arguments.requests, arguments.disturbances):
            if rounds == arguments.rounds or time.monotonic() > deadline:
                print("stopped before the end; run it again to go on from here")
                break
            rounds += 1
            results += one_round(operator, deadline)
    (PROJECT / "docs" / "benchmarks").mkdir(parents=True, exist_ok=True)
    for name, text in document.pages(results, versions()).items():
        (PROJECT / "docs" / "benchmarks" / name).write_text(text, encoding="utf-8")
    print(f"\n{document.totals(results)}\nwritten to docs/benchmarks")
    if document.losses(results) or any(result.trouble for result in results):
        sys.exit("requests were lost, or something did not go as it should")


def one_round(operator: Operator, deadline: float) -> list[Result]:
    """Disturb our site in every way, and reload the stock recipe a few times."""
    # the round before has left another configuration
    operator.start_over()
    ours = [disturbance for disturbance in catalogue.of_ours(operator) if disturbance.name in catalogue.LOSSLESS]
    found = session.run(OURS, ours, deadline=deadline, results=RESULTS)
    if time.monotonic() > deadline:
        return found
    reloads = catalogue.of_stock(STOCK, STOCK_RELOADS)
    found += session.run(
        STOCK, reloads, shape=catalogue.STOCK_SHAPE, quiet_seconds=2, deadline=deadline, results=RESULTS
    )
    print(f"\n{table(found)}\n", flush=True)
    return found


def enough(results: list[Result], requests: int, disturbances: int) -> bool:
    ours = [result for result in results if result.site == OURS.label]
    asked = sum(result.figures.requests for result in ours)
    return asked >= requests and sum(result.name not in (WARM_UP, QUIET) for result in ours) >= disturbances


def versions() -> dict[str, str]:
    """Return what was measured and on what, by what a reader would call it."""
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
