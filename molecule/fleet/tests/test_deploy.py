"""Deploys in batches, with and without hosts that fail.

The tests depend on each other: each starts and ends with the same release on all hosts.
"""

from __future__ import annotations

import json
import re

import pytest
from fleet.hosts import SHAPE, assert_nothing_lost, kill, wait_until_serving
from traffic.playbooks import wait_for


def batches_of(output):
    """Return the batches, each sorted, because Ansible prints the hosts in the order of their answers."""
    return [
        sorted(names.split(", "))
        for names in re.findall(r"^included: \S+/tasks/fleet/run_host\.yml for (.+)$", output, re.MULTILINE)
    ]


def outcomes(output):
    """Return the outcome and the live release of each host, from the summary."""
    rows = re.findall(
        r"^\s*(?:- )?[\"']?(app\d) +(rolled back|failed|not touched|deployed|up to date|unreachable)  +(\S+)",
        output,
        re.MULTILINE,
    )
    return {name: (outcome, serves) for name, outcome, serves in rows}


def failed_hosts(output):
    """Return the hosts with failures in the recap."""
    return [host for host, failed in re.findall(r"^(app\d) .* failed=(\d+) ", output, re.MULTILINE) if failed != "0"]


@pytest.fixture
def before(fleet):
    """Return the release of all hosts at the start of the test."""
    assert len(set(fleet.releases)) == 1
    return fleet.releases[0]


@pytest.mark.smoke
def test_deploy_in_batches(fleet, playbook, release, under_traffic, before):
    runs = []
    figures = under_traffic(lambda: runs.append(playbook("deploy", **release())))

    assert runs[0].status == 0, runs[0].output
    assert batches_of(runs[0].output) == [["app1"], ["app2"], ["app3", "app4"]]
    assert len(set(fleet.releases)) == 1
    assert fleet.releases[0] != before
    assert_nothing_lost(figures)


@pytest.mark.smoke
def test_release_that_fails_on_one_host(fleet, playbook, release, under_traffic, before, tmp_path):
    """By default the deploy stops and rolls back. Options keep the new release, or tolerate the failed host."""
    variables, slots, runs = release(), fleet.slots, []
    files = {f"asgi_status_{kind}": str(tmp_path / f"status.{kind}") for kind in ("json", "html")}
    with fleet["app3"].fault():
        figures = under_traffic(lambda: runs.append(playbook("deploy", asgi_deploy_batches=1, **variables)))

        status, output = runs[0]
        assert status != 0
        assert batches_of(output) == [["app1"], ["app2"], ["app3"]]
        assert fleet.releases == [before] * 4
        assert outcomes(output) == {
            "app1": ("rolled back", before),
            "app2": ("rolled back", before),
            "app3": ("failed", before),
            "app4": ("not touched", before),
        }
        assert failed_hosts(output) == ["app3"]
        assert "this host cannot run this release" in output
        assert "asgi_deploy_max_failures is" in output
        # The deploy and the rollback each switch the slot, so a host ends in its original slot. The fourth host was not changed.
        assert fleet.slots == slots
        assert [entry.get("rollback", False) for entry in fleet["app1"].log[-2:]] == [False, True]
        assert fleet["app3"].log[-1]["result"] == "bad"
        assert len(fleet["app4"].log) < len(fleet["app3"].log)
        assert_nothing_lost(figures)

        status, output = playbook("rollback")

        assert status != 0, "the hosts would roll back to different releases"
        assert f"app1 and app2 to {before}, app3 and app4 to " in output
        assert failed_hosts(output) == ["app1", "app2", "app3", "app4"], "no host may be rolled back"
        assert fleet.releases == [before] * 4

        output = playbook.fails("deploy", asgi_deploy_batches=1, asgi_deploy_on_failure="stop", **variables)

        new = fleet.releases[0]
        assert new != before
        assert fleet.releases == [new, new, before, before]
        assert outcomes(output) == {
            "app1": ("deployed", new),
            "app2": ("deployed", new),
            "app3": ("failed", before),
            "app4": ("not touched", before),
        }

        output = playbook.fails("status", **files)

        assert "4 hosts: fleet differs in release" in output
        report = json.loads((tmp_path / "status.json").read_text())
        assert report["agree"] is False
        values = {each["aspect"]: each["values"] for each in report["differences"]}
        assert values["release"] == {new: ["app1", "app2"], before: ["app3", "app4"]}
        assert new in (tmp_path / "status.html").read_text()

        status, output = playbook("deploy", asgi_deploy_batches=1, asgi_deploy_max_failures="1", **variables)

        assert status != 0, "a host without the release must fail the deploy"
        assert failed_hosts(output) == ["app3"]
        assert fleet.releases == [new, new, before, new]
        assert outcomes(output) == {
            "app1": ("up to date", new),
            "app2": ("up to date", new),
            "app3": ("failed", before),
            "app4": ("deployed", new),
        }

    playbook.succeeds("deploy", **variables)

    assert fleet.releases == [new] * 4

    output = playbook.succeeds("status", **files)

    assert "4 hosts, all agree" in output
    assert json.loads((tmp_path / "status.json").read_text())["agree"] is True


def test_host_that_dies_during_its_activation(fleet, playbook, release, under_traffic, before, tmp_path):
    victim, variables, runs = fleet["app3"], release(), []
    hook = tmp_path / "hook.yml"
    task = {
        "name": "Kill the host after its slot has booted",
        "ansible.builtin.command": {"argv": ["docker", "kill", victim.site.machine.container]},
        "delegate_to": "localhost",
        "vars": {
            "ansible_become": False,
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        },
        "when": "inventory_hostname == 'app3'",
    }
    hook.write_text(json.dumps([task]))
    options = {"asgi_deploy_batches": 1, "asgi_server_hook_before": str(hook), **variables}

    figures = under_traffic(lambda: runs.append(playbook("deploy", **options)), unknown=("app3",))

    status, output = runs[0]
    assert status != 0
    survivors = [host for host in fleet.hosts if host is not victim]
    assert [host.release for host in survivors] == [before] * 3
    assert outcomes(output) == {
        "app1": ("rolled back", before),
        "app2": ("rolled back", before),
        "app3": ("unreachable", "?"),
        "app4": ("not touched", before),
    }
    # HAProxy repeats requests where it can. Requests in flight on the host are lost.
    print(f"in flight on the host when it died: {figures.lost_post} POST lost of {figures.requests:,} requests")
    assert figures.lost_get == 0
    assert figures.lost <= SHAPE.concurrency
    assert figures.duplicates == 0
    assert fleet.balancers[0].statuses()["app3"] == "DOWN"

    victim.docker("start")
    wait_until_serving(victim)
    assert victim.release == before

    playbook.succeeds("deploy", **variables)

    assert len(set(fleet.releases)) == 1
    assert fleet.releases[0] != before
    wait_for(lambda: set(fleet.balancers[0].statuses().values()) == {"UP"}, "the balancer to use the host again")


@pytest.mark.long
def test_controller_that_dies_between_batches(fleet, start, playbook, release, under_traffic, before):
    variables = release()

    def die():
        controller = start("deploy", asgi_deploy_batches=1, **variables)
        wait_for(lambda: fleet["app1"].release != before, "the first host", seconds=300)
        kill(controller)

    figures = under_traffic(die)

    assert before in fleet.releases
    assert_nothing_lost(figures)

    # A module that runs on a host completes by itself.
    playbook.succeeds("deploy", asgi_server_lock_timeout=60, **variables)

    assert len(set(fleet.releases)) == 1
    assert fleet.releases[0] != before


HOOK = """
- name: Record the call
  ansible.builtin.file:
    path: "{records}/{{{{ lookup('ansible.builtin.pipe', 'date +%s%N') }}}} {{{{ inventory_hostname }}}} {when}"
    state: touch
    mode: "0644"
  delegate_to: localhost
  vars:
    ansible_become: false
    ansible_connection: local
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
"""


@pytest.fixture
def hooks(tmp_path):
    """Return the variables of hooks that record their calls, and a function that returns the calls since its last use, in order."""
    records = tmp_path / "records"
    records.mkdir()
    variables = {}
    for when in ("before", "after"):
        path = tmp_path / f"{when}.yml"
        path.write_text(HOOK.format(when=when, records=records))
        variables[f"asgi_deploy_hook_host_{when}"] = str(path)

    def calls():
        paths = sorted(records.iterdir())
        for path in paths:
            path.unlink()
        return [tuple(path.name.split()[1:]) for path in paths]

    return variables, calls


@pytest.mark.long
def test_hooks_around_each_host(fleet, playbook, release, before, hooks):
    variables, calls = hooks
    with fleet["app2"].fault():
        status, output = playbook("deploy", asgi_deploy_batches=1, **release(), **variables)

    assert status != 0, output
    assert fleet.releases == [before] * 4
    # The first host is deployed and rolled back, the second one fails, and the others are not changed.
    around = [(name, when) for name in ("app1", "app2", "app1") for when in ("before", "after")]
    assert calls() == around

    playbook.succeeds("deploy", **variables)

    assert sorted(calls()) == sorted((host.name, when) for host in fleet.hosts for when in ("before", "after"))

    playbook.succeeds("deploy", **variables)

    assert calls() == [], "hooks must not run without a change"
