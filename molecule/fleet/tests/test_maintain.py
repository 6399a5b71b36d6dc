"""Rolling maintenance: hosts are drained on both balancers, restarted and enabled again under load.

The tests depend on each other: each starts and ends with all hosts enabled.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from fleet.hosts import assert_nothing_lost, kill
from scenario import Runner
from traffic.load import Shape
from traffic.playbooks import wait_for

# with long-lived clients
SHAPE = Shape(clients=6, think=0.2, slow=2, slow_seconds=0.5, websockets=2, streams=2)

RESTART = {
    "name": "Restart the machine",
    "ansible.builtin.command": "docker restart {{ ansible_host }}",
    "delegate_to": "localhost",
    "vars": {
        "ansible_become": False,
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    },
}
TAKE_LONG = {"name": "Take long", "ansible.builtin.command": "sleep 120"}
FAIL = {
    "name": "Fail on one host",
    "ansible.builtin.fail": {"msg": "no such disk"},
    "when": "inventory_hostname == 'app2'",
}
LOSE_A_BALANCER = {
    "name": "Make the second balancer unreachable for Ansible",
    "ansible.builtin.set_fact": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    "delegate_to": "lb2",
    "delegate_facts": True,
}
NOTHING = {"name": "Do nothing", "ansible.builtin.debug": {}}


def outcomes(output):
    """Return the outcome of each host, from the summary."""
    return dict(re.findall(r"^\s*(?:- )?[\"']?(app\d) +(done|failed|not touched|unreachable)  ", output, re.MULTILINE))


def maintained(output):
    """Return the hosts on which the tasks ran, by batch."""
    return re.findall(r"^included: \S+/tasks/fleet/with_drain\.yml for (.+)$", output, re.MULTILINE)


@pytest.fixture
def statuses(fleet):
    """Return a function that returns the status of a host on each balancer."""
    return lambda name: [balancer.statuses()[name] for balancer in fleet.balancers]


@pytest.fixture(autouse=True)
def all_enabled(fleet):
    def enabled():
        return {status for balancer in fleet.balancers for status in balancer.statuses().values()} == {"UP"}

    wait_for(enabled, "all hosts to be enabled")
    yield enabled
    assert enabled(), [balancer.statuses() for balancer in fleet.balancers]


@pytest.fixture
def tasks(tmp_path):
    """Return a function that writes a task to a file, and returns the variable with its path."""

    def write(task):
        path = tmp_path / "tasks.yml"
        path.write_text(json.dumps([task]))
        return {"asgi_maintain_tasks": str(path)}

    return write


@pytest.fixture
def maintain(playbook, tasks):
    return Runner(
        lambda task, *options, **variables: playbook("rolling_maintenance", *options, **tasks(task), **variables)
    )


@pytest.fixture
def started(fleet):
    """Return a function that returns the start time of each machine."""

    def ask():
        names = [host.site.machine.container for host in fleet.hosts]
        return subprocess.check_output(
            ["docker", "inspect", "--format", "{{.State.StartedAt}}", *names], text=True
        ).split()

    return ask


def test_restart_of_all_machines_loses_no_request(fleet, maintain, under_traffic, started):
    before, runs = started(), []
    variables = {"asgi_maintain_batches": 2, "asgi_maintain_min_servers": 2, "asgi_maintain_drain_timeout": 3}
    figures = under_traffic(lambda: runs.append(maintain(RESTART, **variables)), shape=SHAPE)

    status, output = runs[0]
    assert status == 0, output
    assert outcomes(output) == {host.name: "done" for host in fleet.hosts}
    assert maintained(output) == ["app1, app2", "app3, app4"]
    assert not set(started()) & set(before)
    assert_nothing_lost(figures)
    # Long-lived clients are closed in order.
    print(f"WebSockets {figures.closed}, event streams {figures.streams}, {figures.streams_cut} cut")
    assert set(figures.closed) == {"1012"}
    assert figures.streams > 0
    assert (figures.streams_cut, figures.streams_incomplete) == (0, 0)


def test_check_mode_restarts_no_machine(maintain, started):
    before = started()
    output = maintain.succeeds(RESTART, "--check", "--limit", "app1")
    assert re.search(r"^changed: \[app1 -> lb2", output, re.MULTILINE), output
    assert started() == before


@pytest.mark.long
def test_too_few_servers_on_one_balancer_fail(fleet, maintain, statuses, all_enabled):
    second = fleet.balancers[1]
    others = ("app2", "app3", "app4")
    for name in others:
        second.run(f"set server asgi_fleet/{name} state maint")

    output = maintain.fails(NOTHING, "--limit", "app1")

    assert "without app1 the backend asgi_fleet would have 0 servers for requests" in output
    # The other balancer does not change either.
    assert statuses("app1") == ["UP", "UP"]
    assert not re.search(r"^changed: ", output, re.MULTILINE), output

    output = maintain.succeeds(NOTHING, "--limit", "app2")

    assert "drained or in maintenance before this run, and left unchanged: app2" in output
    assert statuses("app2") == ["UP", "MAINT"]

    for name in others:
        second.run(f"set server asgi_fleet/{name} state ready")
    wait_for(all_enabled, "all hosts to be enabled")


@pytest.mark.long
def test_tasks_that_fail_on_one_host(maintain, statuses):
    output = maintain.fails(FAIL, "--limit", "app1,app2", asgi_maintain_on_failure="drained")

    assert outcomes(output) == {"app1": "done", "app2": "failed"}
    assert "app2: no such disk" in output
    assert "still drained by rolling_maintenance.yml: app2" in output
    assert statuses("app2") == ["MAINT", "MAINT"]

    output = maintain.fails(FAIL, "--limit", "app1,app2")

    assert maintained(output) == ["app2"], "the drained host must be first, and its failure must stop the run"
    assert outcomes(output) == {"app1": "not touched", "app2": "failed"}
    assert statuses("app2") == ["UP", "UP"], "the host is healthy"


@pytest.mark.long
def test_balancer_that_becomes_unreachable(maintain, statuses):
    output = maintain.fails(LOSE_A_BALANCER, "--limit", "app1,app2")

    assert outcomes(output) == {"app1": "failed", "app2": "not touched"}
    assert "lb2 cannot be reached, and may have app1 drained" in output
    assert statuses("app1") == ["UP", "MAINT"], "the other balancer must enable it"

    output = maintain.succeeds(NOTHING, "--limit", "app1,app2")

    assert maintained(output) == ["app1", "app2"]
    assert statuses("app1") == ["UP", "UP"]


@pytest.mark.long
def test_next_run_enables_the_hosts_of_an_interrupted_one(fleet, start, maintain, tasks, statuses):
    machine = fleet["app3"].site.machine
    controller = start("rolling_maintenance", "--limit", "app3", **tasks(TAKE_LONG))
    wait_for(lambda: machine.sh("pgrep -x sleep || true"), "the task on the host", seconds=300)
    kill(controller)
    machine.sh("pkill -x sleep")
    assert statuses("app3") == ["MAINT", "MAINT"]

    output = maintain.succeeds(NOTHING, "--limit", "app1,app3")

    assert maintained(output) == ["app3", "app1"]
