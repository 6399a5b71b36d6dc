#!/usr/bin/env python
"""Measure what a fleet costs the controller: hosts in containers here, 1 to 16 of them, and how the time grows.

    tools/scale.py [--hosts 1,2,4,8,16] [--recorded 1,16,100] [--connection ssh|docker] [--keep]

Prints the seconds and the controller's memory of a site.yml that changes nothing and of a deploy of other code, the module
executions that a host sees, and the same for the least that a play can do (facts and one task). docs/fleet.md has figures.

One host is deployed to, and the others are copies of its container. They share the CPUs with the controller, which real hosts
do not. So what one host answers is recorded, and in a second table the controller gets these answers from any number of hosts,
each as late as it came: what it takes with hosts that have CPUs of their own. Through ssh only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
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
SSH_PORT = 22600  # and the host's number
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
# of what is measured, the best of so many: others are at work here, too
TIMES = 2
MOST_FORKS = 50
RECORDED_SSH = ROOT / "tools" / "recorded_ssh.sh"


class Cost(NamedTuple):
    """What a playbook took: seconds, CPU seconds, and, where it was watched, its and its processes' most MiB at one time."""

    seconds: float
    cpu: float
    memory: int


class Least(NamedTuple):
    """Of a deploy to the first host: the seconds for its virtual environment, and until the app has booted."""

    venv: float
    boot: float


def target(number: int) -> str:
    return f"{PREFIX}-{number}"


def inventory(
    hosts: int, variables: dict[str, Any], key: Path | None = None, image: str = DEPLOYED, recorded: bool = False
) -> dict[str, Any]:
    """Return an inventory of *hosts* that are reached with the private *key*, without one through Docker.

    Those that are *recorded* are nowhere.
    """
    numbers = range(1, hosts + 1)
    machines = [
        {"name": target(number), "image": image, "ports": [f"{SSH_PORT + number}:22"] if key else []}
        for number in numbers
    ]
    reached: dict[str, Any]
    if recorded:
        reached = {f"app{number}": None for number in numbers}
        connection = {"ansible_user": "root", "ansible_ssh_executable": str(RECORDED_SSH)}
    elif key:
        reached = {
            f"app{number}": {"ansible_host": "127.0.0.1", "ansible_port": SSH_PORT + number} for number in numbers
        }
        connection = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }
    else:
        reached = {f"app{number}": {"ansible_host": target(number)} for number in numbers}
        connection = {"ansible_connection": "community.docker.docker"}
    return {
        "all": {
            "vars": {"targets": machines},
            "children": {"asgi": {"vars": {**connection, **variables}, "hosts": reached}},
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


def proportional_memory(process: int) -> int:
    """Return the MiB of a process and of all that come from it, what they share counted once."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    # not by session or group: each of Ansible's workers has its own
    family = {process}
    while added := {child for child, parent in parents.items() if parent in family} - family:
        family |= added
    total = 0
    for member in family:
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{member}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total // 1024


class Controller:
    """Runs playbooks, and looks how long they take and what memory they have."""

    def __init__(self, work: Path, key: Path | None) -> None:
        self.work = work
        self.key = key
        self.environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    def run(
        self,
        hosts: int,
        playbook: str,
        *options: str,
        source: Path | None = None,
        image: str = DEPLOYED,
        watch: bool = False,
        recorded: bool = False,
        environment: dict[str, str] | None = None,
    ) -> tuple[Cost, str]:
        path = self.work / f"hosts-{hosts}.yml"
        variables = app_variables(source or self.work / "app")
        path.write_text(yaml.safe_dump(inventory(hosts, variables, self.key, image, recorded)))
        log = self.work / "log"
        began, cpu, memory = time.monotonic(), cpu_seconds(), 0
        with log.open("w") as output:
            process = subprocess.Popen(
                ["ansible-playbook", "-i", path, "--forks", str(min(hosts, MOST_FORKS)), *options, playbook],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**self.environment, **(environment or {})},
                cwd=ROOT,
            )
            while watch and process.poll() is None:
                memory = max(memory, proportional_memory(process.pid))
                time.sleep(SAMPLE_SECONDS)
            process.wait()
        said = log.read_text()
        if process.returncode != 0:
            sys.exit(f"{playbook} on {hosts} hosts ended with {process.returncode}:\n{said[-3000:]}")
        return Cost(round(time.monotonic() - began, 1), round(cpu_seconds() - cpu, 1), memory), said


class Recording:
    """What one host answered in a run of a playbook, for runs with hosts that are not there."""

    def __init__(self, controller: Controller, playbook: str, source: Path | None = None) -> None:
        self.controller = controller
        self.playbook = playbook
        self.source = source
        self.directory = Path(tempfile.mkdtemp(dir=controller.work))
        self.environment = {"SSH_RECORDING": str(self.directory)}
        controller.run(
            1,
            playbook,
            *("-e", f"ansible_ssh_executable={RECORDED_SSH}"),
            source=source,
            environment={**self.environment, "SSH_RECORDS": "yes"},
        )

    def play(self, hosts: int, watch: bool) -> Cost:
        """Run the playbook with so many *hosts*, each of which answers as the one did."""
        for counter in self.directory.glob("count-*"):
            counter.unlink()
        cost, _said = self.controller.run(
            hosts, self.playbook, source=self.source, watch=watch, recorded=True, environment=self.environment
        )
        return cost


def cpu_seconds() -> float:
    """Return what the processes that this one has started, and that have ended, have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def changed(said: str) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", said)))


def executions(said: str) -> Counter[str]:
    """Return how often each module was executed on one host, from the output of -vvv."""
    return Counter(re.findall(r"^(?:<\S+> )?Using module file \S+/(\w+)\.py", said, re.MULTILINE))


def venv_seconds(said: str) -> float:
    """Return what one host needed for the virtual environment and its packages, from the output of -v."""
    return sum(float(seconds) for seconds in re.findall(r"^\s+(?:venv|packages): ([\d.]+)$", said, re.MULTILINE))


def inside(number: int, command: str) -> str:
    return subprocess.check_output(["docker", "exec", target(number), "sh", "-c", command], text=True)


def boot_seconds(number: int) -> float:
    """Return what the app needed from systemd's start to the last worker's READY, at its last activation."""
    shown = inside(
        number,
        "systemctl show hello@$(basename $(readlink /run/hello/live.sock) .sock).service "
        "--property=InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic",
    )
    found = {name: int(value) for name, value in re.findall(r"^(\w+)=(\d+)$", shown, re.MULTILINE)}
    return (found["ActiveEnterTimestampMonotonic"] - found["InactiveExitTimestampMonotonic"]) / 1e6


def next_release(work: Path) -> Path:
    """Return a copy of the example with other code than ever before."""
    source = Path(tempfile.mkdtemp(dir=work))
    shutil.copytree(
        ROOT / "examples" / "hello", source, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    with (source / "main.py").open("a") as file:
        file.write(f"\n# {source.name}\n")
    return source


def deploy_other_code(controller: Controller, count: int) -> tuple[Cost, Least]:
    """Deploy other code to *count* hosts, and the former one again; return what that took, and what it cannot do without."""
    source = next_release(controller.work)
    cost, said = controller.run(count, "playbooks/deploy.yml", "-v", source=source, watch=count > 1)
    least = Least(venv_seconds(said), boot_seconds(1))
    controller.run(count, "playbooks/rollback.yml")
    controller.run(count, "playbooks/deploy.yml")
    return cost, least


def let_in(key: Path) -> None:
    """Have the first host serve ssh, for the private *key*, which is made."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    inside(
        1,
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "
        f"openssh-server >/dev/null && mkdir -p -m 700 /root/.ssh && echo '{public}' >/root/.ssh/authorized_keys "
        "&& systemctl enable --quiet --now ssh.service",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", default="1,2,4,8,16", help="how many, one measurement each")
    parser.add_argument(
        "--recorded", default="1,16,100", help="the same, with the recorded answers; nothing: not at all"
    )
    parser.add_argument("--connection", choices=["ssh", "docker"], default="ssh", help="how the hosts are reached")
    parser.add_argument("--keep", action="store_true", help="leave the containers")
    arguments = parser.parse_args()
    counts = numbers(arguments.hosts)
    most = max(counts)

    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        shutil.copytree(ROOT / "examples" / "hello", work / "app")
        (work / "floor.yml").write_text(yaml.safe_dump(FLOOR))
        controller = Controller(work, work / "key" if arguments.connection == "ssh" else None)
        try:
            for playbook in ("create", "prepare"):
                controller.run(1, f"tests/hosts/{playbook}.yml", image=IMAGE)
            if controller.key:
                let_in(controller.key)
            controller.run(1, "playbooks/site.yml")
            subprocess.run(["docker", "commit", target(1), DEPLOYED], check=True, stdout=subprocess.DEVNULL)
            controller.run(1, "tests/hosts/destroy.yml")
            for playbook in ("create", "prepare"):
                controller.run(most, f"tests/hosts/{playbook}.yml")
            controller.run(most, "playbooks/site.yml")
            measure(controller, counts)
            if controller.key and arguments.recorded:
                measure_recorded(controller, numbers(arguments.recorded))
        finally:
            if not arguments.keep:
                controller.run(most, "tests/hosts/destroy.yml")
                subprocess.run(["docker", "image", "rm", DEPLOYED], check=False, stdout=subprocess.DEVNULL)


def numbers(list_: str) -> list[int]:
    return [int(number) for number in list_.split(",")]


def measure(controller: Controller, counts: list[int]) -> None:
    floor_playbook = str(controller.work / "floor.yml")
    _cost, said = controller.run(1, "playbooks/site.yml", "-vvv")
    seen = executions(said)
    print(f"a host sees {seen.total()} module executions in a site.yml that changes nothing: {dict(seen)}\n")
    print("hosts   load  floor s  no-op s  no-op/floor  CPU s  MiB  deploy s  CPU s  MiB", flush=True)
    noops = {}
    for count in counts:
        floors, found = [], []
        for time_ in range(TIMES):
            floors.append(controller.run(count, floor_playbook)[0])
            # looking at the memory takes time itself
            cost, said = controller.run(count, "playbooks/site.yml", watch=time_ == 0)
            if changed(said):
                sys.exit(f"site.yml on {count} hosts changed something:\n{said[-3000:]}")
            found.append(cost)
        floor, noop = min(floors), min(found)
        noops[count] = noop.seconds
        deploy, least = min(deploy_other_code(controller, count) for _time in range(TIMES))
        print(
            f"{count:5}  {os.getloadavg()[0]:5.1f}  {floor.seconds:7}  {noop.seconds:7}  {noop.seconds / floor.seconds:11.2f}"
            f"  {noop.cpu:5}  {max(cost.memory for cost in found):3}  {deploy.seconds:8}  {deploy.cpu:5}  {deploy.memory:3}",
            flush=True,
        )
        if count == 1:
            sum_ = floor.seconds + least.venv + least.boot
            print(
                f"       that deploy is {deploy.seconds / sum_:.2f} times {sum_:.1f} s: the floor, {least.venv:.1f} s for the "
                f"virtual environment from a warm cache, and {least.boot:.1f} s until the app has booted"
            )
    print_growth(noops)


def measure_recorded(controller: Controller, counts: list[int]) -> None:
    print("\nwith what one host answered, from hosts that are not there:")
    noop = Recording(controller, "playbooks/site.yml")
    deploy = Recording(controller, "playbooks/deploy.yml", next_release(controller.work))
    controller.run(1, "playbooks/deploy.yml")
    print("hosts   load  no-op s  CPU s  MiB  deploy s  CPU s  MiB", flush=True)
    noops = {}
    for count in counts:
        columns = []
        for recording in (noop, deploy):
            # looking at the memory takes time itself
            watched = recording.play(count, watch=True)
            cost = min(recording.play(count, watch=False) for _time in range(TIMES))
            columns.append(cost._replace(memory=watched.memory))
        noops[count] = columns[0].seconds
        shown = "  ".join(f"{cost.seconds:7}  {cost.cpu:5}  {cost.memory:3}" for cost in columns)
        print(f"{count:5}  {os.getloadavg()[0]:5.1f}  {shown}", flush=True)
    print_growth(noops)


def print_growth(noops: dict[int, float]) -> None:
    """Say how the seconds of a run that changes nothing, by the number of hosts, grow from the first to the last of them."""
    (first, *_others), last = noops, [*noops][-1]
    print(f"from {first} to {last} hosts the no-op grows {noops[last] / noops[first]:.2f} times")


if __name__ == "__main__":
    main()
