#!/usr/bin/env python
"""Measure the cost of asgi_server_metrics: one app in both slots of a machine, with and without metrics, in alternating rounds.

`make bench-metrics` runs this. wrk sends requests through nginx to each slot in turn, so that other load on the computer affects both.
Prints the throughput, the CPU time of the workers per request, and their ratios. On a computer with other load, the CPU time varies less.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MACHINE = "asgi-bench-metrics"
SIDES = {"off": 8101, "on": 8102}
GOAL = 0.97

SERVER = """
upstream bench_{side} {{ server unix:{socket}; keepalive 32; }}
server {{
    listen 127.0.0.1:{port};
    access_log off;
    location / {{
        proxy_pass http://bench_{side};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Request-ID $request_id;
    }}
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each slot (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="duration of a round (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="connections of wrk (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the machine for the next run")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    os.environ.update(
        ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
        DEMO_NAME=MACHINE,
        DEMO_IMAGE="asgi-target:13",
        DEMO_HTTP_PORT="18080",
        DEMO_HTTPS_PORT="18443",
    )
    if not (arguments.keep and is_prepared()):
        prepare()
    slots = {side: slot_of(side) for side in SIDES}
    measured: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    measure("off", slots["off"], 1, arguments.clients)
    measure("on", slots["on"], 1, arguments.clients)
    for number in range(arguments.rounds):
        for side in list(SIDES)[:: -1 if number % 2 else 1]:
            measured[side].append(measure(side, slots[side], arguments.seconds, arguments.clients))
    report(measured)
    if not arguments.keep:
        subprocess.run(["docker", "rm", "--force", "--volumes", MACHINE], check=True, stdout=subprocess.DEVNULL)


def is_prepared() -> bool:
    command = ["docker", "exec", MACHINE, "test", "-e", "/etc/nginx/conf.d/bench.conf"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def slot_of(side: str) -> str:
    """Return the slot with metrics "on" or "off"."""
    [with_metrics] = inside("cd /srv/hello/slots && ls -d */config/asgi_deploy_metrics.py").split()
    slot = with_metrics.partition("/")[0]
    return slot if side == "on" else {"blue": "green", "green": "blue"}[slot]


def prepare() -> None:
    """Create the machine and run the app in both slots."""
    run("tools/engine.sh")
    run("tests/hosts/image.py", "13")
    playbook("tests/hosts/create.yml", "tests/hosts/prepare.yml")
    inside(
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends wrk >/dev/null"
    )
    playbook("playbooks/site.yml", "-e", '{"asgi_server_workers": 1}')
    playbook("playbooks/deploy.yml", "-e", '{"asgi_server_workers": 1, "asgi_server_metrics": true}')
    inside(f"systemctl start hello@{slot_of('off')}.socket hello@{slot_of('off')}.service")
    servers = "".join(
        SERVER.format(side=side, port=port, socket=f"/run/hello/{slot_of(side)}.sock") for side, port in SIDES.items()
    )
    subprocess.run(
        [
            "docker",
            "exec",
            "-i",
            MACHINE,
            "sh",
            "-c",
            "cat >/etc/nginx/conf.d/bench.conf && nginx -s reload && sleep 1",
        ],
        input=servers,
        text=True,
        check=True,
    )


def measure(side: str, slot: str, seconds: int, clients: int) -> tuple[float, float]:
    """Return the requests per second, and the CPU time of the worker per request in microseconds."""
    before = cpu_ticks(slot)
    output = inside(f"wrk -t1 -c{clients} -d{seconds}s --timeout 30s http://127.0.0.1:{SIDES[side]}/")
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"the app did not answer every request:\n{output}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0])
    requests = int(re.findall(r"(\d+) requests in", output)[0])
    return rate, (cpu_ticks(slot) - before) / os.sysconf("SC_CLK_TCK") / requests * 1e6


def cpu_ticks(slot: str) -> int:
    """Return the CPU time of the slot's workers, in clock ticks."""
    master = inside(f"systemctl show --value --property=MainPID hello@{slot}.service").strip()
    stats = inside(f"for pid in $(cat /proc/{master}/task/{master}/children); do cat /proc/$pid/stat; done")
    return sum(sum(map(int, line.rpartition(")")[2].split()[11:13])) for line in stats.splitlines())


def report(measured: dict[str, list[tuple[float, float]]]) -> None:
    for side, rows in measured.items():
        rate, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"metrics {side:3}  {rate:8.0f} requests/s  {cpu:6.1f} us CPU time of the worker per request  (medians of {len(rows)})"
        )
    rates, cpus = ([pair[which] for pair in pairs(measured)] for which in (0, 1))
    print(f"throughput on/off   {spread(rates)}  (goal: at least {GOAL})")
    print(f"CPU time on/off     {spread(cpus)}")
    lowest = {side: min(cpu for _rate, cpu in rows) for side, rows in measured.items()}
    print(
        f"lowest CPU time     {lowest['on']:.1f} us on, {lowest['off']:.1f} us off: {lowest['off'] / lowest['on']:.3f} of the throughput"
    )


def pairs(measured: dict[str, list[tuple[float, float]]]) -> list[tuple[float, ...]]:
    """Return the ratios of adjacent rounds."""
    return [
        tuple(one / other for one, other in zip(on, off, strict=True))
        for on, off in zip(measured["on"], measured["off"], strict=True)
    ]


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f}, quartiles {low:.3f} to {high:.3f}"


def inside(command: str) -> str:
    return subprocess.run(
        ["docker", "exec", MACHINE, "sh", "-c", command], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def playbook(*arguments: str) -> None:
    run(str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventories/demo", *arguments)


def run(*command: str) -> None:
    """Run *command*. Exit with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
