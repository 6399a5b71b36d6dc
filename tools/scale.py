#!/usr/bin/env python
"""Measure what a fleet costs the controller: hosts in containers here, 1 to 16 of them, and how the time grows.

    tools/scale.py [--hosts 1,2,4,8,16] [--keep]

One host is deployed to, and the others are copies of its container.

Prints the seconds and the controller's memory of a site.yml that changes nothing and of a deploy of other code, the module
executions that a host sees, and the same for the least that a play can do (facts and one task). docs/fleet.md has figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
IMAGE = "asgi-target:13"
PREFIX = "asgi-scale"
DEPLOYED = f"{PREFIX}:deployed"
FLOOR = [
    {
        "name": "The least that a play can do",
        "hosts": "asgi",
        "become": True,
        "gather_facts": True,
        "tasks": [{"name": "One task", "ansible.builtin.command": {"argv": ["true"]}, "changed_when": False}],
    }
]
SAMPLE_SECONDS = 0.1


class Cost(NamedTuple):
    """What a playbook took: seconds, and the most memory that it and its processes had at one time, in MiB."""

    seconds: float
    memory: int


def inventory(hosts: int, variables: dict[str, Any], image: str = DEPLOYED) -> dict[str, Any]:
    names = [f"{PREFIX}-{number}" for number in range(1, hosts + 1)]
    connection = {"ansible_connection": "community.docker.docker"}
    return {
        "all": {
            "vars": {"targets": [{"name": name, "image": image, "ports": []} for name in names]},
            "children": {"asgi": {"vars": {**connection, **variables}, "hosts": {name: {} for name in names}}},
        }
    }


def app_variables(source: Path) -> dict[str, Any]:
    return {
        "asgi_name": "hello",
        "asgi_module": "main:app",
        "asgi_app_source": {"path": str(source)},
        "asgi_server_workers": 2,
        "asgi_proxy_server_names": ["hello.test"],
    }


def proportional_memory(session: int) -> int:
    """Return the MiB of all processes of a session, what they share counted once."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[3]) != session:
                continue
            found = re.search(r"^Pss:\s+(\d+)", (status.parent / "smaps_rollup").read_text(), re.MULTILINE)
        except (OSError, ValueError):
            continue
        total += int(found[1]) if found else 0
    return total // 1024


class Controller:
    """Runs playbooks, and looks how long they take and what memory they have."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def run(
        self, hosts: int, playbook: str, *options: str, source: Path | None = None, image: str = DEPLOYED
    ) -> tuple[Cost, str]:
        path = self.work / f"hosts-{hosts}.yml"
        path.write_text(yaml.safe_dump(inventory(hosts, app_variables(source or self.work / "app"), image)))
        log = self.work / "log"
        began, memory = time.monotonic(), 0
        with log.open("w") as output:
            process = subprocess.Popen(
                ["ansible-playbook", "-i", path, "--forks", str(hosts), *options, playbook],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.environment,
                cwd=ROOT,
            )
            while process.poll() is None:
                memory = max(memory, proportional_memory(process.pid))
                time.sleep(SAMPLE_SECONDS)
        said = log.read_text()
        if process.returncode != 0:
            sys.exit(f"{playbook} on {hosts} hosts ended with {process.returncode}:\n{said[-3000:]}")
        return Cost(round(time.monotonic() - began, 1), memory), said


def changed(said: str) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", said)))


def executions(said: str) -> Counter[str]:
    """Return how often each module was executed on the first host, from the output of -vvv."""
    return Counter(re.findall(r"^<\S+> Using module file \S+/(\w+)\.py", said, re.MULTILINE))


def next_release(work: Path, label: str) -> Path:
    """Return a copy of the example with other code."""
    source = work / f"app-{label}"
    shutil.copytree(ROOT / "examples" / "hello", source, ignore=shutil.ignore_patterns("__pycache__"))
    with (source / "main.py").open("a") as file:
        file.write(f"\n# {label}\n")
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", default="1,2,4,8,16", help="how many, one measurement each")
    parser.add_argument("--keep", action="store_true", help="leave the containers, for the next time")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.hosts.split(",")]
    most = max(counts)

    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        shutil.copytree(ROOT / "examples" / "hello", work / "app")
        (work / "floor.yml").write_text(yaml.safe_dump(FLOOR))
        controller = Controller(work)
        try:
            for playbook in ("tests/hosts/create.yml", "tests/hosts/prepare.yml", "playbooks/site.yml"):
                controller.run(1, playbook, image=IMAGE)
            subprocess.run(["docker", "commit", f"{PREFIX}-1", DEPLOYED], check=True, stdout=subprocess.DEVNULL)
            controller.run(1, "tests/hosts/destroy.yml")
            for playbook in ("create", "prepare"):
                controller.run(most, f"tests/hosts/{playbook}.yml")
            controller.run(most, "playbooks/site.yml")
            measure(controller, counts)
        finally:
            if not arguments.keep:
                controller.run(most, "tests/hosts/destroy.yml")
                subprocess.run(["docker", "image", "rm", DEPLOYED], check=False, stdout=subprocess.DEVNULL)


def measure(controller: Controller, counts: list[int]) -> None:
    floor = str(controller.work / "floor.yml")
    _cost, said = controller.run(1, "playbooks/site.yml", "-vvv")
    seen = executions(said)
    print(
        f"a host sees {seen.total()} module executions in a site.yml that changes nothing: {dict(seen)}\n", flush=True
    )

    print("hosts  floor s  no-op s  no-op/floor  deploy s  deploy MiB  no-op MiB", flush=True)
    noops = {}
    for count in counts:
        least = min(controller.run(count, floor)[0] for _time in range(2))
        found = []
        for _time in range(2):
            cost, said = controller.run(count, "playbooks/site.yml")
            if changed(said):
                sys.exit(f"site.yml on {count} hosts changed something:\n{said[-3000:]}")
            found.append(cost)
        noop = noops[count] = min(found)
        source = next_release(controller.work, f"release-{count}")
        deploy, _said = controller.run(count, "playbooks/deploy.yml", source=source)
        controller.run(count, "playbooks/rollback.yml")
        controller.run(count, "playbooks/deploy.yml")
        print(
            f"{count:5}  {least.seconds:7}  {noop.seconds:7}  {noop.seconds / least.seconds:11.2f}  {deploy.seconds:8}"
            f"  {deploy.memory:10}  {noop.memory:9}",
            flush=True,
        )
    first, last = counts[0], counts[-1]
    print(f"\nfrom {first} to {last} hosts the no-op grows {noops[last].seconds / noops[first].seconds:.2f} times")
    print(json.dumps({count: cost._asdict() for count, cost in noops.items()}))


if __name__ == "__main__":
    main()
