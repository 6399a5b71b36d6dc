"""If a host fails to stage, no other host runs the migration or the hook of the app."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
VARIABLES = yaml.safe_load((ROOT / "roles/asgi_app/vars/main.yml").read_text())
NAMES = ("__asgi_app_hosts", "__asgi_app_hosts_left")
FAIL = {"fail": {"msg": "it does not build"}, "when": "inventory_hostname == broken | default('')"}


def once_per_app(name):
    """Return the tasks of the file *name* of the role asgi_app, with a message in place of the command."""
    [block] = yaml.safe_load((ROOT / f"roles/asgi_app/tasks/{name}.yml").read_text())
    return [{"when": block["when"], "block": [{"debug": {"msg": f"ran {name} on {{{{ inventory_hostname }}}}"}}]}]


def stage():
    """Return the play that stages, with tasks that take the place of its role."""
    [play] = [play for play in yaml.safe_load((ROOT / "playbooks/deploy.yml").read_text()) if play["name"] == "Stage"]
    tasks = [{"set_fact": {"asgi_app_release": {"release": "src-2", "live": False}}}, FAIL]
    play["tasks"][0]["block"][0] = {"block": [*tasks, *once_per_app("migrate"), *once_per_app("hook")]}
    variables = {name: VARIABLES[name] for name in NAMES}
    variables["__asgi_deploy_checked"] = {"hosts": ["web1", "web2"]}
    return {**play, "hosts": "all", "become": False, "vars": {**play["vars"], **variables}}


@pytest.mark.parametrize("fatal", [True, False], ids=["as shipped", "as with ansible-core 2.16"])
def test_a_host_that_fails_to_stage(ansible_playbook, fatal):
    play = {**stage(), "any_errors_fatal": fatal}
    status, output = ansible_playbook(yaml.safe_dump([play]), "web1\nweb2\n[all:vars]\nasgi_name=shop\nbroken=web1")
    assert status != 0
    assert "it does not build" in output
    assert "ran " not in output


def test_no_host_fails(ansible_playbook):
    status, output = ansible_playbook(yaml.safe_dump([stage()]), "web1\nweb2\n[all:vars]\nasgi_name=shop")
    assert status == 0, output
    assert [name for name in ("ran migrate on web1", "ran hook on web1", "on web2") if name in output] == [
        "ran migrate on web1",
        "ran hook on web1",
    ]


def test_a_play_of_the_user_continues_without_the_failed_host(ansible_playbook):
    """Its hosts go on to activate the release, so they need the migration."""
    play = {**stage(), "any_errors_fatal": False}
    del play["vars"]["__asgi_play_hosts"]
    _status, output = ansible_playbook(yaml.safe_dump([play]), "web1\nweb2\n[all:vars]\nasgi_name=shop\nbroken=web1")
    assert "ran migrate on web2" in output
