#!/usr/bin/env python
"""Compare the recommendation of tune.yml with a manual measurement of the site at each number of workers.

The manual measurement runs wrk against the site's HTTPS port, and changes the number of workers of the live slot with gunicorn's signals
TTIN and TTOU, which is faster than a deploy and gives the same workers. Then it runs tune.yml with its defaults. `make bench-tune` creates
the machine and runs this. The result goes to docs/benchmarks/tuning.md, and the reports of tune.yml to .cache/tune/.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = Path(__file__).parent / "inventory"
MACHINE = "asgi-tune"
APPS = {"tiny": "tiny JSON", "wait": "20 ms of waiting", "cpu": "5 ms of CPU"}
WORKERS = (1, 2, 3, 4, 5)
CONNECTIONS = 64
BOOT_SECONDS = 3
WITHIN = 0.9
REPORT = ROOT / "docs/benchmarks/tuning.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the manual measurement")
    parser.add_argument("--seconds", type=int, default=5, help="duration of the load at each number of workers")
    parser.add_argument(
        "--output", type=Path, default=ROOT / ".cache/tune", help="directory for the reports of tune.yml"
    )
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    inside("sh", "-c", "command -v wrk || apt-get install --yes --quiet --no-install-recommends wrk")
    inside("sh", "-c", "grep -q tiny.test /etc/hosts || echo 127.0.0.1 tiny.test wait.test cpu.test >>/etc/hosts")
    sections, good = [], True
    for app, meaning in APPS.items():
        manual = {count: [] for count in WORKERS}
        for number in range(arguments.rounds):
            for count in WORKERS if number % 2 == 0 else reversed(WORKERS):
                set_workers(app, count)
                manual[count].append(site_throughput(app, arguments.seconds))
                print(f"{app}: {count} workers, {manual[count][-1]:.0f} requests/s", flush=True)
        began = time.monotonic()
        files = {f"asgi_tune_{kind}": str(arguments.output / f"{app}.{kind}") for kind in ("html", "json", "vars_file")}
        play("tune", app, asgi_tune_path="/", asgi_tune_with_traffic=True, **files)
        seconds = time.monotonic() - began
        measured = json.loads((arguments.output / f"{app}.json").read_text())
        text, ratio = section(app, meaning, manual, measured, seconds)
        print(text, flush=True)
        sections.append(text)
        good = good and ratio >= WITHIN
    REPORT.write_text(HEAD.format(rounds=arguments.rounds, seconds=arguments.seconds) + "\n".join(sections))
    sys.exit(0 if good else f"a recommendation is not within {1 - WITHIN:.0%} of the best")


HEAD = """<!-- Made by bench/tune/compare.py (make bench-tune); change that instead. -->
# Recommendations of tune.yml compared with manual measurements

Three apps run on a Debian 13 container with two CPUs, which the controller and the load generator share. The manual measurement sets the
number of workers of the live slot with signals (TTIN, TTOU) and runs wrk with 64 connections on the host against the site's HTTPS port,
{rounds} times for {seconds} s, in alternating order. The table shows the medians, the rounds in brackets, and the measurement of `tune.yml` with its
defaults, which is without TLS. `asgi_server_workers_min` was 1.

"""


def section(
    app: str, meaning: str, manual: dict[int, list[float]], measured: dict[str, Any], seconds: float
) -> tuple[str, float]:
    """Return the section of an app, and the ratio of the recommended number's throughput to the best one."""
    chosen = measured["recommendation"]["workers"]
    medians = {count: statistics.median(values) for count, values in manual.items()}
    best = max(medians, key=medians.__getitem__)
    points = {point["workers"]: point for point in measured["points"]}
    lines = [
        f"## {meaning}",
        "",
        "| workers | manual, requests/s | tune.yml, requests/s | p99 ms | |",
        "|---|---|---|---|---|",
    ]
    for count, values in manual.items():
        point = points[count]
        marks = ", ".join(name for name, which in (("best", best), ("**recommended**", chosen)) if which == count)
        rounds = ", ".join(f"{value:.0f}" for value in values)
        lines.append(
            f"| {count} | {medians[count]:.0f} ({rounds}) | {statistics.median(point['throughputs']):.0f} | "
            f"{point['p99_ms']:.0f} | {marks} |"
        )
    ratio = medians[chosen] / medians[best]
    lines += [
        "",
        f"Recommended: {chosen}, with **{ratio:.0%}** of the best throughput ({best}). tune.yml took {seconds:.0f} s.",
    ]
    lines += [f"Note: {note}." for note in measured["recommendation"]["notes"]]
    return "\n".join([*lines, ""]), ratio


def play(playbook: str, app: str, **variables: Any) -> None:
    command = [
        "ansible-playbook",
        "-i",
        INVENTORY,
        f"asgi.deploy.{playbook}",
        "--limit",
        app,
        "-e",
        json.dumps(variables),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{playbook} failed:\n{done.stdout[-3000:]}{done.stderr}")


def set_workers(app: str, count: int) -> None:
    """Set the number of workers of the live slot, and wait until they are ready."""
    script = f"""
        master=$(systemctl show --value --property=MainPID "{app}@$(basename "$(readlink /run/{app}/live.sock)" .sock)")
        has() {{ wc -w </proc/$master/task/$master/children; }}
        while [ "$(has)" -lt {count} ]; do kill -TTIN "$master"; sleep 1; done
        while [ "$(has)" -gt {count} ]; do
            before=$(has); kill -TTOU "$master"
            while [ "$(has)" -eq "$before" ]; do sleep 0.2; done
        done
        sleep {BOOT_SECONDS}
        test "$(has)" -eq {count}
    """
    inside("sh", "-euc", script)


def site_throughput(app: str, seconds: int) -> float:
    """Return the requests per second of the site, after a warm-up of two seconds."""
    for duration in (2, seconds):
        output = inside("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}s", "--timeout=10s", f"https://{app}.test/")
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"requests failed: {output}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))


def inside(*command: str) -> str:
    return subprocess.run(["docker", "exec", MACHINE, *command], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
