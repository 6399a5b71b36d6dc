#!/usr/bin/env python
"""Measure the cost of a fleet for the controller, with 1 to 16 hosts in containers and with replayed hosts.

    bench/fleet.py [--hosts 1,2,4,8,16] [--recorded 1,16,100] [--connection ssh|docker] [--keep]

Prints the time, CPU time and memory of the controller for a no-op site.yml and for a deploy of new code, the number of module executions
per host, and the time of a minimal play (facts and one task) as the floor. docs/explanation/performance.md has the figures.

The script deploys to one host, and the other hosts are copies of its container. They share the CPUs with the controller, unlike real
hosts. Therefore a second table shows the cost for the controller if the hosts have their own CPUs: it replays the recorded answers of one
host, with their durations, for any number of hosts. Replay requires ssh.
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
SSH_PORT = 22600  # plus the number of the host
FLOOR = [
    {
        "name": "Run a minimal play",
        "hosts": "asgi",
        "become": True,
        "gather_facts": True,
        "tasks": [{"name": "Run a task", "ansible.builtin.command": {"argv": ["true"]}, "changed_when": False}],
    }
]
SAMPLE_SECONDS = 0.1
# Number of repetitions of a measurement. The best one counts, because the computer has other load.
TIMES = 2
MOST_FORKS = 50
RECORDED_SSH = ROOT / "bench" / "recorded_ssh.sh"


class Cost(NamedTuple):
    """The cost of a playbook: seconds, CPU seconds and, if watched, the maximum memory of its processes in MiB."""

    seconds: float
    cpu: float
    memory: int


class Least(NamedTuple):
    """The unavoidable time of a deploy to the first host: seconds for the virtual environment and for the boot of the app."""

    venv: float
    boot: float


def target(number: int) -> str:
    return f"{PREFIX}-{number}"


def inventory(
    hosts: int, variables: dict[str, Any], key: Path | None = None, image: str = DEPLOYED, recorded: bool = False
) -> dict[str, Any]:
    """Return an inventory of *hosts* with a connection through ssh and the private *key* or, without a key, through Docker.

    With *recorded*, the hosts do not exist.
    """
    numbers = range(1, hosts + 1)
    machines = [
        {"name": target(number), "image": image, "ports": [f"{SSH_PORT + number}:22"] if key else []}
        for number in numbers
    ]
    connections: dict[str, Any]
    if recorded:
        connections = {f"app{number}": None for number in numbers}
        connection = {"ansible_user": "root", "ansible_ssh_executable": str(RECORDED_SSH)}
    elif key:
        connections = {
            f"app{number}": {"ansible_host": "127.0.0.1", "ansible_port": SSH_PORT + number} for number in numbers
        }
        connection = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }
    else:
        connections = {f"app{number}": {"ansible_host": target(number)} for number in numbers}
        connection = {"ansible_connection": "community.docker.docker"}
    return {
        "all": {
            "vars": {"targets": machines},
            "children": {"asgi": {"vars": {**connection, **variables}, "hosts": connections}},
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
    """Return the memory of a process and its descendants in MiB, with shared memory counted once."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    # Sessions and process groups do not identify the processes: each of Ansible's workers has its own.
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
    """Runs playbooks, and measures their time and memory."""

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
        output_text = log.read_text()
        if process.returncode != 0:
            sys.exit(f"{playbook} on {hosts} hosts ended with {process.returncode}:\n{output_text[-3000:]}")
        return Cost(round(time.monotonic() - began, 1), round(cpu_seconds() - cpu, 1), memory), output_text


class Recording:
    """The recorded answers of one host to a playbook, for replay with hosts that do not exist."""

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

    def replay(self, hosts: int, watch: bool) -> Cost:
        """Run the playbook with this number of *hosts*, which all replay the recorded answers."""
        for counter in self.directory.glob("count-*"):
            counter.unlink()
        cost, _output = self.controller.run(
            hosts, self.playbook, source=self.source, watch=watch, recorded=True, environment=self.environment
        )
        return cost


def cpu_seconds() -> float:
    """Return the CPU time of the terminated child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def changed(output: str) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", output)))


def executions(output: str) -> Counter[str]:
    """Return the number of executions of each module on one host, from the output of -vvv."""
    return Counter(re.findall(r"^(?:<\S+> )?Using module file \S+/(\w+)\.py", output, re.MULTILINE))


def venv_seconds(output: str) -> float:
    """Return the seconds that one host spent on the virtual environment and its packages, from the output of -v."""
    return sum(float(seconds) for seconds in re.findall(r"^\s+(?:venv|packages): ([\d.]+)$", output, re.MULTILINE))


def inside(number: int, command: str) -> str:
    return subprocess.check_output(["docker", "exec", target(number), "sh", "-c", command], text=True)


def boot_seconds(number: int) -> float:
    """Return the seconds from the start of the unit to its READY at the last activation."""
    shown = inside(
        number,
        "systemctl show hello@$(basename $(readlink /run/hello/live.sock) .sock).service "
        "--property=InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic",
    )
    found = {name: int(value) for name, value in re.findall(r"^(\w+)=(\d+)$", shown, re.MULTILINE)}
    return (found["ActiveEnterTimestampMonotonic"] - found["InactiveExitTimestampMonotonic"]) / 1e6


def next_release(work: Path) -> Path:
    """Return a copy of the example with new code."""
    source = Path(tempfile.mkdtemp(dir=work))
    shutil.copytree(
        ROOT / "examples" / "hello", source, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    with (source / "main.py").open("a") as file:
        file.write(f"\n# {source.name}\n")
    return source


def deploy_new_code(controller: Controller, count: int) -> tuple[Cost, Least]:
    """Deploy new code to *count* hosts, then the original code again. Return the cost and the unavoidable time."""
    source = next_release(controller.work)
    cost, output = controller.run(count, "playbooks/deploy.yml", "-v", source=source, watch=count > 1)
    least = Least(venv_seconds(output), boot_seconds(1))
    controller.run(count, "playbooks/rollback.yml")
    controller.run(count, "playbooks/deploy.yml")
    return cost, least


def enable_ssh(key: Path) -> None:
    """Create the private *key*, and start an ssh server on the first host that accepts it."""
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
    parser.add_argument("--hosts", default="1,2,4,8,16", help="numbers of hosts to measure")
    parser.add_argument("--recorded", default="1,16,100", help="numbers of replayed hosts; empty: none")
    parser.add_argument("--connection", choices=["ssh", "docker"], default="ssh", help="connection to the hosts")
    parser.add_argument("--keep", action="store_true", help="keep the containers")
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
                enable_ssh(controller.key)
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
    _cost, output = controller.run(1, "playbooks/site.yml", "-vvv")
    seen = executions(output)
    print(f"a no-op site.yml executes {seen.total()} modules per host: {dict(seen)}\n")
    print("hosts   load  floor s  no-op s  no-op/floor  CPU s  MiB  deploy s  CPU s  MiB", flush=True)
    noops = {}
    for count in counts:
        floors, costs = [], []
        for time_ in range(TIMES):
            floors.append(controller.run(count, floor_playbook)[0])
            # Watch the memory in one run only, because reading it takes time.
            cost, output = controller.run(count, "playbooks/site.yml", watch=time_ == 0)
            if changed(output):
                sys.exit(f"site.yml on {count} hosts changed something:\n{output[-3000:]}")
            costs.append(cost)
        floor, noop = min(floors), min(costs)
        noops[count] = noop.seconds
        deploy, least = min(deploy_new_code(controller, count) for _time in range(TIMES))
        print(
            f"{count:5}  {os.getloadavg()[0]:5.1f}  {floor.seconds:7}  {noop.seconds:7}  {noop.seconds / floor.seconds:11.2f}"
            f"  {noop.cpu:5}  {max(cost.memory for cost in costs):3}  {deploy.seconds:8}  {deploy.cpu:5}  {deploy.memory:3}",
            flush=True,
        )
        if count == 1:
            sum_ = floor.seconds + least.venv + least.boot
            print(
                f"       the deploy takes {deploy.seconds / sum_:.2f} times {sum_:.1f} s: the floor, {least.venv:.1f} s for the "
                f"virtual environment from a warm cache, and {least.boot:.1f} s for the boot of the app"
            )
    print_growth(noops)


def measure_recorded(controller: Controller, counts: list[int]) -> None:
    print("\nreplayed answers of one host:")
    noop = Recording(controller, "playbooks/site.yml")
    deploy = Recording(controller, "playbooks/deploy.yml", next_release(controller.work))
    controller.run(1, "playbooks/deploy.yml")
    print("hosts   load  no-op s  CPU s  MiB  deploy s  CPU s  MiB", flush=True)
    noops = {}
    for count in counts:
        columns = []
        for recording in (noop, deploy):
            # Watch the memory in one run only, because reading it takes time.
            watched = recording.replay(count, watch=True)
            cost = min(recording.replay(count, watch=False) for _time in range(TIMES))
            columns.append(cost._replace(memory=watched.memory))
        noops[count] = columns[0].seconds
        shown = "  ".join(f"{cost.seconds:7}  {cost.cpu:5}  {cost.memory:3}" for cost in columns)
        print(f"{count:5}  {os.getloadavg()[0]:5.1f}  {shown}", flush=True)
    print_growth(noops)


def print_growth(noops: dict[int, float]) -> None:
    """Print the growth of the no-op's time from the first to the last number of hosts."""
    (first, *_others), last = noops, [*noops][-1]
    print(f"from {first} to {last} hosts the no-op grows {noops[last] / noops[first]:.2f} times")


if __name__ == "__main__":
    main()
