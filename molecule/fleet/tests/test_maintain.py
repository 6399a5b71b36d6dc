"""Hosts are drained on both balancers, restarted, and given back, while clients use one of the balancers.

The tests build on one another: each begins with a fleet whose hosts all take requests, and leaves one.
"""

from __future__ import annotations

import fileinput
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.haproxy import parse_backends
from traffic import session
from traffic.counting import Events, Window, count
from traffic.load import Shape
from traffic.playbooks import wait_for
from traffic.sites import Machine, Site

ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as peer:
    peer.connect("/run/haproxy/admin.sock")
    peer.sendall(sys.argv[1].encode() + b"\\n")
    print(b"".join(iter(lambda: peer.recv(65536), b"")).decode())
"""
BACKEND = "asgi_fleet"
BALANCERS = {name: Machine(f"asgi-fleet-{name}") for name in ("lb1", "lb2")}
# with clients that stay, and are to be sent elsewhere
SHAPE = Shape(clients=6, think=0.2, slow=2, slow_seconds=0.5, websockets=2, streams=2)

RESTART = {
    "name": "Restart the machine",
    "ansible.builtin.command": "docker restart {{ ansible_host }}",
    "delegate_to": "localhost",
    "become": False,
    "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
}
TAKE_LONG = {"name": "Take long", "ansible.builtin.command": "sleep 120"}
FAIL = {
    "name": "Fail on one host",
    "ansible.builtin.fail": {"msg": "no such disk"},
    "when": "inventory_hostname == 'app2'",
}
NOTHING = {"name": "Do nothing", "ansible.builtin.debug": {}}


def ask(balancer, command):
    done = subprocess.run(
        ["docker", "exec", BALANCERS[balancer].container, "python3", "-c", ASK, command],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def servers(balancer):
    return parse_backends(ask(balancer, "show stat"), ask(balancer, "show servers state"))[BACKEND]


def tell(balancer, host, admin):
    answer = ask(balancer, f"set server {BACKEND}/{host} state {admin}")
    assert not answer.strip(), answer


def states(host):
    """Return what each balancer was told of a host."""
    return [servers(name)[host].admin for name in BALANCERS]


def all_take_requests():
    return all(server.usable for name in BALANCERS for server in servers(name).values())


def started(host):
    """Return since when the machine of a host runs."""
    command = ["docker", "inspect", "--format", "{{.State.StartedAt}}", host.site.machine.container]
    return subprocess.check_output(command, text=True)


def outcomes(said):
    found = re.findall(r"^\s*(app\d) +(done|failed|not touched|unreachable)  ", said, re.MULTILINE)
    return dict(found)


def worked_on(said):
    """Return the hosts in the order in which they were worked on."""
    return re.findall(r"^included: \S+/tasks/drained\.yml for (.+)$", said, re.MULTILINE)


@pytest.fixture(autouse=True)
def whole_fleet():
    wait_for(all_take_requests, "hosts that all take requests")
    yield
    assert all_take_requests(), {name: servers(name) for name in BALANCERS}


@pytest.fixture
def maintain(playbook, tmp_path):
    def run(task, *options, **variables):
        path = tmp_path / "tasks.yml"
        path.write_text(json.dumps([task]))
        return playbook("maintain", *options, asgi_maintain_tasks=str(path), **variables)

    return run


@pytest.fixture
def used(fleet, tmp_path):
    """Do something while clients use a balancer, and return what they lived through."""

    def watch(balancer, action):
        site, journal = Site(balancer, BALANCERS[balancer], "fleet.test", ""), tmp_path / "journal"
        for host in fleet.hosts:
            host.site.forget_executed()
        with session.clients(site, SHAPE, journal):
            began = time.monotonic()
            action()
            time.sleep(1)
        with fileinput.input([journal], encoding="utf-8") as lines:
            events = Events.of(json.loads(line) for line in lines)
        executed = sum((host.site.executed() for host in fleet.hosts), Counter())
        [found] = count([Window("all", began, time.monotonic(), time.monotonic())], events, executed)
        print(f"\n{balancer}: {found.requests:,} requests, {found.lost} lost, worst {found.worst} ms, {found.closed}")
        return found

    return watch


def test_every_machine_is_restarted_and_nothing_is_lost(fleet, maintain, used):
    before, runs = [started(host) for host in fleet.hosts], []
    variables = {"asgi_maintain_batches": 2, "asgi_maintain_min_servers": 2, "asgi_maintain_drain_timeout": 3}
    found = used("lb1", lambda: runs.append(maintain(RESTART, **variables)))

    status, said = runs[0]
    assert status == 0, said
    assert outcomes(said) == {host.name: "done" for host in fleet.hosts}
    assert worked_on(said) == ["app1, app2", "app3, app4"]
    assert all(now != then for now, then in zip([started(host) for host in fleet.hosts], before, strict=True))
    assert (found.lost, found.faults, found.untrue) == (0, {}, 0)
    assert found.requests > 100
    # those that stay are told to come again
    assert set(found.closed) == {"1012"}
    assert found.streams > 0
    assert (found.streams_cut, found.streams_broken_off) == (0, 0)


def test_check_mode(fleet, maintain):
    before = [started(host) for host in fleet.hosts]
    status, said = maintain(RESTART, "--check", "--limit", "app1")
    assert status == 0, said
    assert "changed: [app1 -> lb2" in said
    assert [started(host) for host in fleet.hosts] == before


def test_too_few_would_remain_on_one_balancer(maintain):
    for host in ("app2", "app3", "app4"):
        tell("lb2", host, "maint")
    try:
        status, said = maintain(RESTART, "--limit", "app1")

        assert status != 0
        assert "without app1 the backend asgi_fleet would have 0 servers that take requests" in said
        assert "app2 MAINT" in said
        # not even on the balancer that has enough
        assert states("app1") == ["ready", "ready"]

        status, said = maintain(NOTHING, "--limit", "app2")

        assert status == 0, said
        assert "taken out by somebody else, and left so: app2" in said
        assert states("app2") == ["ready", "maint"]
    finally:
        for host in ("app2", "app3", "app4"):
            tell("lb2", host, "ready")
        wait_for(all_take_requests, "hosts that all take requests")


def test_tasks_that_fail_on_a_host(maintain):
    status, said = maintain(FAIL, asgi_maintain_on_failure="drained", asgi_maintain_batches="1,3")

    assert status != 0
    assert outcomes(said) == {"app1": "done", "app2": "failed", "app3": "done", "app4": "done"}
    assert "no such disk" in said
    assert "drained by maintain.yml and not back: app2" in said
    assert states("app2") == ["maint", "maint"]

    status, said = maintain(FAIL)

    assert status != 0
    assert worked_on(said) == ["app2"], "what was left is begun with, and nothing else once it has failed"
    assert outcomes(said)["app1"] == "not touched"
    assert states("app2") == ["ready", "ready"], "it is healthy"


def test_a_run_that_is_interrupted(start, maintain, tmp_path, fleet):
    path = tmp_path / "long.yml"
    path.write_text(json.dumps([TAKE_LONG]))
    controller = start("maintain", "--limit", "app3", asgi_maintain_tasks=str(path))
    wait_for(lambda: states("app3") == ["maint", "maint"], "a host that is drained", seconds=300)
    wait_for(lambda: fleet["app3"].site.machine.sh("pgrep -x sleep || true"), "work on it")
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    fleet["app3"].site.machine.sh("pkill -x sleep")
    assert states("app3") == ["maint", "maint"]

    status, said = maintain(NOTHING, "--limit", "app1,app3")

    assert status == 0, said
    assert worked_on(said) == ["app3", "app1"]
