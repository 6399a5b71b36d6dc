#!/usr/bin/env python
"""What counting costs: one app in both slots of a machine, with metrics in one and without in the other, in turns.

`make bench-metrics` runs this. wrk asks through nginx, over the slots' own sockets, the one slot and then the other, so
that what else the computer does hits both. Prints the throughput and the CPU time of the workers for each request, and
their ratios; the latter is the steadier figure on a computer that has other things to do.
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
    parser.add_argument("--rounds", type=int, default=15, help="how often each side is asked (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="connections of wrk (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the machine, and use one that was kept")
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
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    ask("off", slots["off"], 1, arguments.clients)
    ask("on", slots["on"], 1, arguments.clients)
    for number in range(arguments.rounds):
        for side in list(SIDES)[:: -1 if number % 2 else 1]:
            found[side].append(ask(side, slots[side], arguments.seconds, arguments.clients))
    report(found)
    if not arguments.keep:
        subprocess.run(["docker", "rm", "--force", "--volumes", MACHINE], check=True, stdout=subprocess.DEVNULL)


def is_prepared() -> bool:
    command = ["docker", "exec", MACHINE, "test", "-e", "/etc/nginx/conf.d/bench.conf"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def slot_of(side: str) -> str:
    """Return the slot that counts, or that does not."""
    [counts] = inside("cd /srv/hello/slots && ls -d */config/asgi_deploy_metrics.py").split()
    slot = counts.partition("/")[0]
    return slot if side == "on" else {"blue": "green", "green": "blue"}[slot]


def prepare() -> None:
    """Have the app in both slots, running."""
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


def ask(side: str, slot: str, seconds: int, clients: int) -> tuple[float, float]:
    """Return the requests in a second, and the microseconds of the worker's CPU time for each."""
    before = cpu_ticks(slot)
    said = inside(f"wrk -t1 -c{clients} -d{seconds}s --timeout 30s http://127.0.0.1:{SIDES[side]}/")
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"the app did not answer every request:\n{said}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    return rate, (cpu_ticks(slot) - before) / os.sysconf("SC_CLK_TCK") / requests * 1e6


def cpu_ticks(slot: str) -> int:
    """Return the CPU time of the slot's workers, in clock ticks."""
    master = inside(f"systemctl show --value --property=MainPID hello@{slot}.service").strip()
    stats = inside(f"for pid in $(cat /proc/{master}/task/{master}/children); do cat /proc/$pid/stat; done")
    return sum(sum(map(int, line.rpartition(")")[2].split()[11:13])) for line in stats.splitlines())


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    for side, rows in found.items():
        rate, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"metrics {side:3}  {rate:8.0f} requests/s  {cpu:6.1f} us CPU of the worker for a request  (medians of {len(rows)})"
        )
    rates, cpus = ([pair[which] for pair in pairs(found)] for which in (0, 1))
    print(f"throughput on/off   {spread(rates)}  (goal: at least {GOAL})")
    print(f"CPU time on/off     {spread(cpus)}")
    lowest = {side: min(cpu for _rate, cpu in rows) for side, rows in found.items()}
    print(
        f"lowest CPU time     {lowest['on']:.1f} us on, {lowest['off']:.1f} us off: {lowest['off'] / lowest['on']:.3f} of the throughput"
    )


def pairs(found: dict[str, list[tuple[float, float]]]) -> list[tuple[float, ...]]:
    """Return the ratios of neighbouring rounds."""
    return [
        tuple(one / other for one, other in zip(on, off, strict=True))
        for on, off in zip(found["on"], found["off"], strict=True)
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
    """Run *command*; end with what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
