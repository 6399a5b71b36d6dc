"""The playbooks notify the webhook exactly once, even if the run ends early."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from ansible_core import VERSION

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
UNREACHABLE = "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1"
RELEASE = {"asgi_app_release": {"release": "src-2", "staged_before": "src-1", "serving": {"release": "src-1"}}}
QUERY = {"raw": "true", "register": "asgi_app_release"}
FAIL = {
    "fail": {"msg": "it does not build"},
    "when": "broken | default(false) | bool",
    "register": "__asgi_app_migrated",
}


def play_of(playbook, name):
    """Return the play *name* of *playbook*, with tasks that take the place of its role."""
    [play] = [play for play in yaml.safe_load((PLAYBOOKS / playbook).read_text()) if play["name"] == name]
    [block] = [task for task in play["tasks"] if "always" in task]
    block["block"][0] = {"block": copy.deepcopy([QUERY, {"set_fact": RELEASE}, FAIL])}
    return {**play, "hosts": "all", "become": False, "vars": {}}


def results(receiver):
    """Return the result of each notification, and the results of its hosts."""
    return [
        (request.json["what"], request.json["result"], [each["result"] for each in request.json["hosts"]])
        for request in receiver.requests
    ]


@pytest.mark.parametrize(("playbook", "name"), [("deploy.yml", "Stage"), ("site.yml", "Expose")])
@pytest.mark.parametrize(
    ("web1", "web2", "sent"),
    [
        ("", "", []),
        ("", "broken=true", [("deploy", "failed", ["unchanged", "failed"])]),
        ("broken=true", "", [("deploy", "failed", ["failed", "unchanged"])]),
        (UNREACHABLE, "", [("deploy", "failed", ["unreachable", "unchanged"])]),
    ],
    ids=["none fails", "the last one fails", "the first one fails", "one is unreachable"],
)
def test_a_run_that_stops_before_or_after_the_activation(ansible_playbook, receiver, playbook, name, web1, web2, sent):
    inventory = f"web1 {web1}\nweb2 {web2}\n[all:vars]\nasgi_name=shop\nasgi_deploy_notify_url={receiver.url}"
    next_play = {"hosts": "all", "gather_facts": False, "tasks": [{"debug": {"msg": "the next play"}}]}
    status, output = ansible_playbook(yaml.safe_dump([play_of(playbook, name), next_play]), inventory)

    # ansible-core 2.16 leaves the block on the failed host only (docs/how-to/ansible-versions.md)
    assert results(receiver) == (sent if VERSION >= (2, 17) else []), output
    assert (status == 0) is (not sent)
    assert ("the next play" in output) is (not sent)
    assert "s3cret" not in output


def test_a_run_for_a_second_app_that_stops(ansible_playbook, receiver):
    """The facts of the first app, which the run has staged, remain."""
    first, second = play_of("deploy.yml", "Stage"), play_of("deploy.yml", "Stage")
    first["vars"] = {"asgi_name": "tiles"}
    second["vars"] = {"asgi_name": "shop", "broken": True}
    _status, output = ansible_playbook(
        yaml.safe_dump([first, second]), f"web1\n[all:vars]\nasgi_deploy_notify_url={receiver.url}"
    )

    assert [(request.json["app"], request.json["result"]) for request in receiver.requests] == [("shop", "failed")], (
        output
    )


def test_a_stopped_run_whose_other_hosts_continue_with_the_site_check(ansible_playbook, receiver):
    expose = play_of("site.yml", "Expose")
    marker = {"what": "deploy", "app": "shop", "by": "jo", "at": "2026-12-01T09:00:00+00:00", "duration_seconds": 1}
    marker.update({"from": "src-1", "to": "src-2", "result": "succeeded", "reason": None})
    expose["tasks"][0] = {"set_fact": {"__asgi_server_live": {"marker": marker}}}
    expose["tasks"].insert(1, {"meta": "end_play"})
    [check] = [
        play for play in yaml.safe_load((PLAYBOOKS / "site.yml").read_text()) if play["name"] == "Check the site"
    ]
    check = {**check, "hosts": "all", "become": False}
    check["tasks"] = [
        {**QUERY, "register": "__asgi_site_checked"},
        {"import_tasks": f"{PLAYBOOKS}/tasks/check_site.yml"},
    ]
    _status, output = ansible_playbook(
        yaml.safe_dump([expose, check]), f"web1\n[all:vars]\nasgi_name=shop\nasgi_deploy_notify_url={receiver.url}"
    )

    # fail_hosts.yml has notified, see below
    assert results(receiver) == [], output


@pytest.mark.parametrize(
    ("max_failures", "broken", "web2", "sent"),
    [
        (0, "web2", "", [("deploy", "failed", ["unchanged", "failed"])]),
        (1, "web2", "", [("deploy", "failed", ["unchanged", "failed"])]),
        (2, "web1,web2", "", [("deploy", "failed", ["failed", "failed"])]),
        (0, "", UNREACHABLE, [("deploy", "failed", ["unchanged", "unreachable"])]),
        (1, "", UNREACHABLE, [("deploy", "failed", ["unchanged", "unreachable"])]),
        (0, "", "", []),
    ],
    ids=[
        "the run stops",
        "the others continue",
        "no host is left",
        "unreachable",
        "unreachable, continue",
        "none fails",
    ],
)
def test_hosts_that_fail_in_their_batch(ansible_playbook, receiver, tmp_path, max_failures, broken, web2, sent):
    change = [{"raw": "true"}, {"fail": {"msg": "no"}, "when": f"inventory_hostname in '{broken}'.split(',')"}]
    (tmp_path / "change.yml").write_text(yaml.safe_dump(change))
    variables = {
        "__asgi_fleet_tasks": f"{PLAYBOOKS}/tasks",
        "__asgi_fleet_host_tasks": str(tmp_path / "change.yml"),
        "__asgi_fleet_change": "deploy",
        "__asgi_site_register": ["__asgi_server_live"],
    }
    (tmp_path / "variables.yml").write_text(yaml.safe_dump(variables))
    play = {
        "hosts": "all",
        "gather_facts": False,
        "strategy": "linear",
        "vars_files": [f"{PLAYBOOKS}/vars/fleet.yml", "variables.yml"],
        "tasks": [
            *({"import_tasks": f"{PLAYBOOKS}/tasks/fleet/{name}.yml"} for name in ("run_batches", "fail_hosts")),
            {"import_tasks": f"{PLAYBOOKS}/tasks/check_site.yml"},
        ],
    }
    inventory = (
        f"web1\nweb2 {web2}\n[all:vars]\nasgi_name=shop\nasgi_deploy_notify_url={receiver.url}\n"
        f"asgi_deploy_batches=100%\nasgi_deploy_max_failures={max_failures}"
    )
    _status, output = ansible_playbook(yaml.safe_dump([play]), inventory)

    assert results(receiver) == sent, output
