"""Hosts are drained on both balancers, restarted, and given back, while clients come through one of them.

The tests build on one another: each begins with a fleet whose hosts all take requests, and leaves one.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from fleet.hosts import assert_nothing_lost, kill
from traffic.load import Shape
from traffic.playbooks import wait_for

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
LOSE_A_BALANCER = {
    "name": "Have Ansible look for the second balancer where nobody is",
    "ansible.builtin.set_fact": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    "delegate_to": "lb2",
    "delegate_facts": True,
}
NOTHING = {"name": "Do nothing", "ansible.builtin.debug": {}}


def outcomes(said):
    """Return what the summary says of each host."""
    return dict(re.findall(r"^\s*(app\d) +(done|failed|not touched|unreachable)  ", said, re.MULTILINE))


def worked_on(said):
    """Return who was worked on, together where it was."""
    return re.findall(r"^included: \S+/tasks/drained\.yml for (.+)$", said, re.MULTILINE)


@pytest.fixture
def statuses(fleet):
    """Return how each balancer finds a host."""
    return lambda name: [balancer.statuses()[name] for balancer in fleet.balancers]


@pytest.fixture(autouse=True)
def all_take_requests(fleet):
    def serve():
        return {status for balancer in fleet.balancers for status in balancer.statuses().values()} == {"UP"}

    wait_for(serve, "hosts that all take requests")
    yield serve
    assert serve(), [balancer.statuses() for balancer in fleet.balancers]


@pytest.fixture
def tasks(tmp_path):
    """Return a file with a task."""

    def write(task):
        path = tmp_path / "tasks.yml"
        path.write_text(json.dumps([task]))
        return {"asgi_maintain_tasks": str(path)}

    return write


@pytest.fixture
def maintain(playbook, tasks):
    return lambda task, *options, **variables: playbook("maintain", *options, **tasks(task), **variables)


@pytest.fixture
def started(fleet):
    """Return since when each machine runs."""

    def ask():
        names = [host.site.machine.container for host in fleet.hosts]
        return subprocess.check_output(
            ["docker", "inspect", "--format", "{{.State.StartedAt}}", *names], text=True
        ).split()

    return ask


def test_every_machine_is_restarted_and_nothing_is_lost(fleet, maintain, under_traffic, started):
    before, runs = started(), []
    variables = {"asgi_maintain_batches": 2, "asgi_maintain_min_servers": 2, "asgi_maintain_drain_timeout": 3}
    found = under_traffic(lambda: runs.append(maintain(RESTART, **variables)), shape=SHAPE)

    status, said = runs[0]
    assert status == 0, said
    assert outcomes(said) == {host.name: "done" for host in fleet.hosts}
    assert worked_on(said) == ["app1, app2", "app3, app4"]
    assert not set(started()) & set(before)
    assert_nothing_lost(found)
    # those that stay are told to come again
    print(f"WebSockets {found.closed}, event streams {found.streams}, {found.streams_cut} cut")
    assert set(found.closed) == {"1012"}
    assert found.streams > 0
    assert (found.streams_cut, found.streams_broken_off) == (0, 0)


def test_check_mode(maintain, started):
    before = started()
    status, said = maintain(RESTART, "--check", "--limit", "app1")
    assert status == 0, said
    assert re.search(r"^changed: \[app1 -> lb2", said, re.MULTILINE), said
    assert started() == before


@pytest.mark.long
def test_too_few_would_remain_on_one_balancer(fleet, maintain, statuses, all_take_requests):
    second = fleet.balancers[1]
    others = ("app2", "app3", "app4")
    for name in others:
        second.tell(f"set server asgi_fleet/{name} state maint")

    status, said = maintain(NOTHING, "--limit", "app1")

    assert status != 0
    assert "without app1 the backend asgi_fleet would have 0 servers for requests" in said
    # not even on the balancer that has enough
    assert statuses("app1") == ["UP", "UP"]
    assert not re.search(r"^changed: ", said, re.MULTILINE), said

    status, said = maintain(NOTHING, "--limit", "app2")

    assert status == 0, said
    assert "taken out by somebody else, and left so: app2" in said
    assert statuses("app2") == ["UP", "MAINT"]

    for name in others:
        second.tell(f"set server asgi_fleet/{name} state ready")
    wait_for(all_take_requests, "hosts that all take requests")


@pytest.mark.long
def test_tasks_that_fail_on_a_host(maintain, statuses):
    status, said = maintain(FAIL, "--limit", "app1,app2", asgi_maintain_on_failure="drained")

    assert status != 0
    assert outcomes(said) == {"app1": "done", "app2": "failed"}
    assert "app2: no such disk" in said
    assert "drained by maintain.yml and not back: app2" in said
    assert statuses("app2") == ["MAINT", "MAINT"]

    status, said = maintain(FAIL, "--limit", "app1,app2")

    assert status != 0
    assert worked_on(said) == ["app2"], "what was left is begun with, and nothing else once it has failed"
    assert outcomes(said) == {"app1": "not touched", "app2": "failed"}
    assert statuses("app2") == ["UP", "UP"], "it is healthy"


@pytest.mark.long
def test_a_balancer_that_cannot_be_reached_any_more(maintain, statuses):
    status, said = maintain(LOSE_A_BALANCER, "--limit", "app1,app2")

    assert status != 0
    assert outcomes(said) == {"app1": "failed", "app2": "not touched"}
    assert "lb2 cannot be reached, and may have app1 drained" in said
    assert statuses("app1") == ["UP", "MAINT"], "the other one has given it back"

    status, said = maintain(NOTHING, "--limit", "app1,app2")

    assert status == 0, said
    assert worked_on(said) == ["app1", "app2"]
    assert statuses("app1") == ["UP", "UP"]


@pytest.mark.long
def test_a_run_that_is_interrupted(fleet, start, maintain, tasks, statuses):
    machine = fleet["app3"].site.machine
    controller = start("maintain", "--limit", "app3", **tasks(TAKE_LONG))
    wait_for(lambda: machine.sh("pgrep -x sleep || true"), "work on the host", seconds=300)
    kill(controller)
    machine.sh("pkill -x sleep")
    assert statuses("app3") == ["MAINT", "MAINT"]

    status, said = maintain(NOTHING, "--limit", "app1,app3")

    assert status == 0, said
    assert worked_on(said) == ["app3", "app1"]
