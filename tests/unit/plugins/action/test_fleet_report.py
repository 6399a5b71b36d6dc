"""The action plugin fleet_report: reports on all hosts of a play."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.action import fleet_report
from ansible_collections.asgi.deploy.plugins.modules.fleet_report import DOCUMENTATION
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status import ASPECTS

APP = {"name": "hello", "slot": "green", "release": "src-1", "state": "active", "workers": 3}


def status(*apps):
    return {"status": {"apps": list(apps)}}


def test_inventory_names_of_one_machine_count_once(run_action):
    hostvars = {
        "web1-hello": {"ansible_host": "a", **status(APP)},
        "web1-shop": {"ansible_host": "a", **status({**APP, "name": "shop"})},
        "web2": {"ansible_host": "a", "ansible_port": 2222, **status(APP)},
    }
    result = run_action(fleet_report, {"kind": "status", "registers": ["status"]}, hostvars)
    assert (result["verdict"], result["problem_hosts"]) == ("2 hosts, all agree", [])


def test_host_without_a_result_is_in_the_report(run_action):
    result = run_action(fleet_report, {"kind": "status", "registers": ["status"]}, {"web1": status(APP), "web2": {}})
    assert result["problem_hosts"] == ["web2"]


def test_every_format_is_a_list_of_lines(run_action):
    arguments = {"kind": "status", "registers": ["status"], "formats": ["table", "json", "html"]}
    reports = run_action(fleet_report, arguments, {"web1": status(APP)})["reports"]
    assert list(reports) == arguments["formats"]
    assert all(len(lines) > 1 and not [line for line in lines if "\n" in line] for lines in reports.values())


def test_maintenance_in_check_mode(run_action):
    plan = {"backends": {"web1": "asgi_shop"}, "balancers": {"web1": []}, "along": {}, "servers": {"web1": []}}
    arguments = {"kind": "maintenance", "plan": plan}
    result = run_action(fleet_report, arguments, {"web1": {"__asgi_maintain_done": True}}, check_mode=True)
    assert result["reports"]["table"][0] == "1 host, none failed; in check mode nothing was changed"


@pytest.mark.parametrize(("max_failures", "words"), [(0, "so the deploy has stopped"), (1, "the deploy has continued")])
def test_failures_within_and_beyond_the_limit(run_action, max_failures, words):
    arguments = {"kind": "deploy", "failed": ["web1"], "max_failures": max_failures}
    assert words in run_action(fleet_report, arguments, {"web1": {}})["reports"]["table"][0]


def test_format_of_another_kind_is_an_error(run_action):
    with pytest.raises(AnsibleActionFail, match="formats of doctor contains html -> use some of table, json"):
        run_action(fleet_report, {"kind": "doctor", "registers": ["x"], "formats": ["html"]}, {})


def test_documented_choices():
    options = yaml.safe_load(DOCUMENTATION)["options"]
    assert options["kind"]["choices"] == list(fleet_report.KINDS) == list(fleet_report.FORMATS)
    assert options["ignore"]["choices"] == list(ASPECTS)
