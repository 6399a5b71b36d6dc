"""A release goes through the fleet batch by batch; when a host does not take it, all hosts go on serving what they should.

The tests build on one another: each begins with a fleet that has one release, and leaves one.
"""

from __future__ import annotations

import json
import re

import pytest
from fleet.hosts import SHAPE, assert_nothing_lost, kill, wait_until_serving
from traffic.playbooks import wait_for


def batches_of(said):
    """Return which hosts were changed together; Ansible names them in whatever order they have answered in."""
    return [
        sorted(names.split(", "))
        for names in re.findall(r"^included: \S+/tasks/host\.yml for (.+)$", said, re.MULTILINE)
    ]


def outcomes(said):
    """Return host by host what the summary says: what became of it, and what serves."""
    found = re.findall(
        r"^\s*(app\d) +(rolled back|failed|not touched|deployed|had it already|unreachable)  +(\S+)", said, re.MULTILINE
    )
    return {name: (outcome, serves) for name, outcome, serves in found}


@pytest.fixture
def before(fleet):
    """What every host serves when a test begins."""
    assert len(set(fleet.releases)) == 1
    return fleet.releases[0]


def test_a_release_in_batches(fleet, playbook, release, under_traffic, before):
    runs = []
    found = under_traffic(lambda: runs.append(playbook("deploy", **release())))

    assert runs[0].status == 0, runs[0].said
    assert batches_of(runs[0].said) == [["app1"], ["app2"], ["app3", "app4"]]
    assert len(set(fleet.releases)) == 1
    assert fleet.releases[0] != before
    assert_nothing_lost(found)


def test_a_release_that_one_host_cannot_run(fleet, playbook, release, under_traffic, before, tmp_path):
    """Stopped there; what was activated is rolled back, then left on request, then the host is left out on request."""
    variables, slots, runs = release(), fleet.slots, []
    files = {f"asgi_status_{kind}": str(tmp_path / f"status.{kind}") for kind in ("json", "html")}
    with fleet["app3"].fault():
        found = under_traffic(lambda: runs.append(playbook("deploy", asgi_deploy_batches=1, **variables)))

        status, said = runs[0]
        assert status != 0
        assert batches_of(said) == [["app1"], ["app2"], ["app3"]]
        assert fleet.releases == [before] * 4
        assert outcomes(said) == {
            "app1": ("rolled back", before),
            "app2": ("rolled back", before),
            "app3": ("failed", before),
            "app4": ("not touched", before),
        }
        assert "this host cannot run this release" in said
        assert "asgi_deploy_max_failures is" in said
        # two activations bring a host back to its slot; the fourth was never touched
        assert fleet.slots == slots
        assert [entry.get("rollback", False) for entry in fleet["app1"].log[-2:]] == [False, True]
        assert fleet["app3"].log[-1]["result"] == "bad"
        assert len(fleet["app4"].log) < len(fleet["app3"].log)
        assert_nothing_lost(found)

        status, said = playbook("rollback")

        assert status != 0, "app1 is where it was before, and the others would go on to what was before that"
        assert f"app1 and app2 to {before}, app3 and app4 to " in said
        assert fleet.releases == [before] * 4

        status, said = playbook("deploy", asgi_deploy_batches=1, asgi_deploy_on_failure="stop", **variables)

        assert status != 0
        new = fleet.releases[0]
        assert new != before
        assert fleet.releases == [new, new, before, before]
        assert outcomes(said) == {
            "app1": ("deployed", new),
            "app2": ("deployed", new),
            "app3": ("failed", before),
            "app4": ("not touched", before),
        }

        status, said = playbook("status", **files)

        assert status != 0
        assert "4 hosts: fleet differs in release" in said
        found = json.loads((tmp_path / "status.json").read_text())
        assert found["agree"] is False
        values = {each["aspect"]: each["values"] for each in found["differences"]}
        assert values["release"] == {new: ["app1", "app2"], before: ["app3", "app4"]}
        assert new in (tmp_path / "status.html").read_text()

        status, said = playbook("deploy", asgi_deploy_batches=1, asgi_deploy_max_failures="1", **variables)

        assert status != 0, "a host without the release is an error, if one that does not stop the others"
        assert fleet.releases == [new, new, before, new]
        assert outcomes(said) == {
            "app1": ("had it already", new),
            "app2": ("had it already", new),
            "app3": ("failed", before),
            "app4": ("deployed", new),
        }

    status, said = playbook("deploy", **variables)

    assert status == 0, said
    assert fleet.releases == [new] * 4

    status, said = playbook("status", **files)

    assert status == 0, said
    assert "4 hosts, all agree" in said
    assert json.loads((tmp_path / "status.json").read_text())["agree"] is True


def test_a_host_that_dies_in_the_middle_of_its_activation(fleet, playbook, release, under_traffic, before, tmp_path):
    victim, variables, runs = fleet["app3"], release(), []
    hook = tmp_path / "hook.yml"
    task = {
        "name": "Cut the power of one host when its slot has booted",
        "ansible.builtin.command": {"argv": ["docker", "kill", victim.site.machine.container]},
        "delegate_to": "localhost",
        "become": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "when": "inventory_hostname == 'app3'",
    }
    hook.write_text(json.dumps([task]))
    options = {"asgi_deploy_batches": 1, "asgi_server_hook_before": str(hook), **variables}

    found = under_traffic(lambda: runs.append(playbook("deploy", **options)), unknown=("app3",))

    status, said = runs[0]
    assert status != 0
    survivors = [host for host in fleet.hosts if host is not victim]
    assert [host.release for host in survivors] == [before] * 3
    assert outcomes(said) == {
        "app1": ("rolled back", before),
        "app2": ("rolled back", before),
        "app3": ("unreachable", "?"),
        "app4": ("not touched", before),
    }
    # what could be sent again was; what the host was doing when it died nobody can get back
    print(f"in flight on the host when it died: {found.lost_post} POST lost of {found.requests:,} requests")
    assert found.lost_get == 0
    assert found.lost <= SHAPE.askers
    assert found.duplicates == 0
    assert fleet.balancers[0].statuses()["app3"] == "DOWN"

    victim.docker("start")
    wait_until_serving(victim)
    assert victim.release == before

    status, said = playbook("deploy", **variables)

    assert status == 0, said
    assert len(set(fleet.releases)) == 1
    assert fleet.releases[0] != before
    wait_for(lambda: set(fleet.balancers[0].statuses().values()) == {"UP"}, "the balancer to use the host again")


@pytest.mark.long
def test_a_controller_that_dies_between_batches(fleet, start, playbook, release, under_traffic, before):
    variables = release()

    def die():
        controller = start("deploy", asgi_deploy_batches=1, **variables)
        wait_for(lambda: fleet["app1"].release != before, "the first host", seconds=300)
        kill(controller)

    found = under_traffic(die)

    assert before in fleet.releases
    assert_nothing_lost(found)

    # what was under way on a host ends there by itself
    status, said = playbook("deploy", asgi_server_lock_timeout=60, **variables)

    assert status == 0, said
    assert len(set(fleet.releases)) == 1
    assert fleet.releases[0] != before


HOOK = """
- name: Note when that was
  ansible.builtin.file:
    path: "{notes}/{{{{ lookup('ansible.builtin.pipe', 'date +%s%N') }}}} {{{{ inventory_hostname }}}} {when}"
    state: touch
    mode: "0644"
  delegate_to: localhost
  become: false
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
"""


@pytest.fixture
def hooks(tmp_path):
    """Hooks that take notes on the controller, and what they have noted since that was last asked, in order."""
    notes = tmp_path / "notes"
    notes.mkdir()
    variables = {}
    for when in ("before", "after"):
        path = tmp_path / f"{when}.yml"
        path.write_text(HOOK.format(when=when, notes=notes))
        variables[f"asgi_deploy_hook_host_{when}"] = str(path)

    def noted():
        paths = sorted(notes.iterdir())
        for path in paths:
            path.unlink()
        return [tuple(path.name.split()[1:]) for path in paths]

    return variables, noted


@pytest.mark.long
def test_hooks_around_each_host(fleet, playbook, release, before, hooks):
    variables, noted = hooks
    with fleet["app2"].fault():
        status, said = playbook("deploy", asgi_deploy_batches=1, **release(), **variables)

    assert status != 0, said
    assert fleet.releases == [before] * 4
    # the first host there and back again, the second one where it failed; the others were never touched
    around = [(name, when) for name in ("app1", "app2", "app1") for when in ("before", "after")]
    assert noted() == around

    status, said = playbook("deploy", **variables)

    assert status == 0, said
    assert sorted(noted()) == sorted((host.name, when) for host in fleet.hosts for when in ("before", "after"))

    status, said = playbook("deploy", **variables)

    assert status == 0, said
    assert noted() == [], "nothing is to be changed, so no host is taken out of anything"
