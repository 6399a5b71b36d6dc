#!/usr/bin/env python
"""Compare what tune.yml recommends with what a person finds who changes the number of workers and measures the site.

By hand means: wrk against the site's HTTPS, the workers of the live slot made more and fewer by signals (gunicorn's TTIN and TTOU), which
are the same as after a deploy of that number, and are there sooner. Then tune.yml with its defaults. `make bench-tune` makes the machine
and runs this, which writes docs/benchmarks/tuning.md and the pages to .cache/tune/.
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
    parser.add_argument("--rounds", type=int, default=3, help="how often to go through the numbers by hand")
    parser.add_argument("--seconds", type=int, default=5, help="of load for each number by hand")
    parser.add_argument("--output", type=Path, default=ROOT / ".cache/tune", help="directory for the pages")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    inside("sh", "-c", "command -v wrk || apt-get install --yes --quiet --no-install-recommends wrk")
    inside("sh", "-c", "grep -q tiny.test /etc/hosts || echo 127.0.0.1 tiny.test wait.test cpu.test >>/etc/hosts")
    sections, good = [], True
    for app, meaning in APPS.items():
        by_hand = {count: [] for count in WORKERS}
        for number in range(arguments.rounds):
            for count in WORKERS if number % 2 == 0 else reversed(WORKERS):
                set_workers(app, count)
                by_hand[count].append(site_throughput(app, arguments.seconds))
                print(f"{app}: {count} workers, {by_hand[count][-1]:.0f} requests/s", flush=True)
        began = time.monotonic()
        files = {f"asgi_tune_{kind}": str(arguments.output / f"{app}.{kind}") for kind in ("html", "json", "vars_file")}
        play("tune", app, asgi_tune_path="/", asgi_tune_with_traffic=True, **files)
        seconds = time.monotonic() - began
        measured = json.loads((arguments.output / f"{app}.json").read_text())
        text, ratio = section(app, meaning, by_hand, measured, seconds)
        print(text, flush=True)
        sections.append(text)
        good = good and ratio >= WITHIN
    REPORT.write_text(HEAD.format(rounds=arguments.rounds, seconds=arguments.seconds) + "\n".join(sections))
    sys.exit(0 if good else f"a recommendation is not within {1 - WITHIN:.0%} of the best")


HEAD = """<!-- Made by tests/tune/acceptance.py (make bench-tune); change that instead. -->
# What tune.yml recommends, and what a person finds

Three apps on one machine of two CPUs, a container with Debian 13 that shares them with the controller and the load tool. By hand: the live
slot given each number of workers by signals (TTIN, TTOU), and wrk with 64 connections on the host against the site's HTTPS, {rounds} times
{seconds} s, the numbers up and down in turn; medians, and in brackets the rounds. Beside it what `tune.yml` measured with its defaults, without TLS.
`asgi_server_workers_min` was 1.

"""


def section(
    app: str, meaning: str, by_hand: dict[int, list[float]], measured: dict[str, Any], seconds: float
) -> tuple[str, float]:
    """Return what is told of one app, and how near the recommended number comes to the best by hand."""
    chosen = measured["recommendation"]["workers"]
    medians = {count: statistics.median(values) for count, values in by_hand.items()}
    best = max(medians, key=medians.__getitem__)
    points = {point["workers"]: point for point in measured["points"]}
    lines = [
        f"## {meaning}",
        "",
        "| workers | by hand, requests/s | tune.yml, requests/s | p99 ms | |",
        "|---|---|---|---|---|",
    ]
    for count, values in by_hand.items():
        point = points[count]
        marks = ", ".join(
            name for name, which in (("best by hand", best), ("**recommended**", chosen)) if which == count
        )
        rounds = ", ".join(f"{value:.0f}" for value in values)
        lines.append(
            f"| {count} | {medians[count]:.0f} ({rounds}) | {statistics.median(point['throughputs']):.0f} | "
            f"{point['p99_ms']:.0f} | {marks} |"
        )
    ratio = medians[chosen] / medians[best]
    lines += [
        "",
        f"Recommended: {chosen}, which by hand has **{ratio:.0%}** of the best ({best}). It took {seconds:.0f} s.",
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
    """Have the live slot run *count* workers, and wait until they are ready."""
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
    """Return the requests a second of the site as clients see it, after two seconds that do not count."""
    for duration in (2, seconds):
        said = inside("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}s", "--timeout=10s", f"https://{app}.test/")
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"requests failed: {said}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))


def inside(*command: str) -> str:
    return subprocess.run(["docker", "exec", MACHINE, *command], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
