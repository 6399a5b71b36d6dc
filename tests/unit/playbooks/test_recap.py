"""The recap counts a failure only for hosts that failed, and a stopped run does not continue with later plays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
[EXPOSE] = [play for play in yaml.safe_load((PLAYBOOKS / "site.yml").read_text()) if play["name"] == "Expose"]

# A fleet change that fails on hosts with `broken`, followed by the next play of site.yml.
PLAYBOOK = f"""
- name: Change
  hosts: all
  gather_facts: false
  strategy: linear
  any_errors_fatal: false
  vars_files: [{PLAYBOOKS}/vars/fleet.yml, variables.yml]
  tasks:
    - import_tasks: {PLAYBOOKS}/tasks/fleet/run_batches.yml
    - import_tasks: {PLAYBOOKS}/tasks/fleet/fail_hosts.yml
- name: Expose
  hosts: all
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - {EXPOSE["tasks"][0]}
    - debug: {{msg: "{{{{ inventory_hostname }}}} is exposed"}}
"""
CHANGE = """
- raw: "true"
- fail: {msg: "it does not boot\\nfor a reason"}
  when: broken | default(false) | bool
"""
HOSTS = ("web1", "web2", "web3", "web4")
UNREACHABLE = "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1"


BROKEN = "broken=true"


@pytest.fixture
def change(tmp_path):
    """Write the change and the variables of the play to files; return their directory."""
    (tmp_path / "change.yml").write_text(CHANGE)
    variables = {
        "asgi_deploy_batches": "100%",
        "__asgi_fleet_tasks": f"{PLAYBOOKS}/tasks",
        "__asgi_fleet_host_tasks": str(tmp_path / "change.yml"),
    }
    (tmp_path / "variables.yml").write_text(yaml.safe_dump(variables))
    return tmp_path


@pytest.mark.parametrize(
    ("hosts", "max_failures", "status", "failed", "exposed"),
    [
        ({}, 0, 0, {}, HOSTS),
        ({"web3": BROKEN}, 0, 2, {"web3": (0, 1)}, ()),
        ({"web2": BROKEN, "web4": BROKEN}, 1, 2, {"web2": (0, 1), "web4": (0, 1)}, ()),
        ({"web1": BROKEN}, 1, 2, {"web1": (0, 1)}, ("web2", "web3", "web4")),
        ({"web2": UNREACHABLE}, 0, 4, {"web2": (1, 0)}, ()),
        ({"web1": UNREACHABLE, "web2": BROKEN}, 0, None, {"web1": (1, 0), "web2": (0, 1)}, ()),
    ],
    ids="none-fails one-fails too-many-fail others-continue one-unreachable unreachable-and-failed".split(),
)
def test_failures_in_the_recap(ansible_playbook, change, hosts, max_failures, status, failed, exposed):
    """*failed* maps each host with failures to its counts of unreachable and failed; a status of None is any but 0."""
    inventory = "\n".join(f"{host} {hosts.get(host, '')}" for host in HOSTS)
    result, output = ansible_playbook(PLAYBOOK, f"{inventory}\n[all:vars]\nasgi_deploy_max_failures={max_failures}")

    recap = re.findall(r"^(web\d) .*unreachable=(\d+) +failed=(\d+)", output, re.MULTILINE)
    counts = {host: (int(unreachable), int(failures)) for host, unreachable, failures in recap}
    assert list(counts) == list(HOSTS), output
    assert {host: count for host, count in counts.items() if any(count)} == failed, output
    assert sorted(re.findall(r'"msg": "(web\d) is exposed"', output)) == list(exposed), output
    assert result != 0 if status is None else result == status
    if "web3" in failed:
        assert "it does not boot; web3 failed, and asgi_deploy_max_failures is 0" in output


def test_stopped_deploy_prints_no_site_summary(ansible_playbook, change):
    """A stopped deploy rolls the activated releases back, so a summary would describe releases that are not live."""
    [*_others, check] = yaml.safe_load((PLAYBOOKS / "deploy.yml").read_text())[-1]["tasks"]
    check["ansible.builtin.import_tasks"] = f"{PLAYBOOKS}/{check['ansible.builtin.import_tasks']}"
    tasks = [{"import_tasks": f"{PLAYBOOKS}/tasks/fleet/{name}.yml"} for name in ("run_batches", "fail_hosts")]
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [f"{PLAYBOOKS}/vars/fleet.yml", "variables.yml"],
        "vars": {"asgi_name": "shop"},
        "tasks": [*tasks, check],
    }

    for other, summarized in (("", ["web1", "web2"]), (UNREACHABLE, [])):
        _status, output = ansible_playbook(yaml.safe_dump([play]), f"web1\nweb2 {other}")
        assert re.findall(r"(web\d) +not checked", output) == summarized, output


# ---- rollback.yml on hosts with different rollback targets


def rollback(ansible_playbook, **releases):
    """Compare hosts with these rollback targets; return the status, the failed hosts, the continuing hosts and the output."""
    play = yaml.safe_load((PLAYBOOKS / "rollback.yml").read_text())[-1]
    first, *_others = [
        place for place, task in enumerate(play["tasks"]) if task["name"].startswith("Compare the rollback targets")
    ]
    plan = {"previous": "new", "previous_config": "c", "release": "{{ goes_to }}", "config": "c"}
    tasks = [
        {"set_fact": {"__asgi_rollback_plan": plan}},
        *play["tasks"][first : first + 2],
        {"debug": {"msg": "{{ inventory_hostname }} continues"}},
    ]
    text = yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}])
    apps = {"web1": "shop", "web2": "shop", "web3": "tiles"}
    status, output = ansible_playbook(
        text, "\n".join(f"{host} asgi_name={apps[host]} goes_to={release}" for host, release in releases.items())
    )
    failed = re.findall(r"^(web\d) .*failed=[1-9]", output, re.MULTILINE)
    return status, sorted(failed), sorted(re.findall(r'"msg": "(web\d) continues"', output)), output


def test_hosts_with_different_rollback_targets_fail(ansible_playbook):
    status, failed, continuing, output = rollback(ansible_playbook, web1="old", web2="older", web3="other")

    assert (status, failed, continuing) == (2, ["web1", "web2"], []), output
    assert "(web1 to old, web2 to older); nothing has been changed" in output


def test_hosts_with_the_same_rollback_target_continue(ansible_playbook):
    status, failed, continuing, output = rollback(ansible_playbook, web1="old", web2="old", web3="other")

    assert (status, failed, continuing) == (0, [], ["web1", "web2", "web3"]), output
