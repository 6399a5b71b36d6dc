"""The action plugin fleet_plan: plans for all hosts of a play."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.action import fleet_plan

SERVER = {"address": "10.0.0.1", "admin": "ready", "usable": True, "status": "UP", "taken": None}
HOSTVARS = {"web1": {"asgi_name": "shop"}}


class HostVars(dict):
    """Variables by host. A host that is not in the play, such as a balancer, has only the app's name."""

    def __getitem__(self, host):
        return self.get(host, {"asgi_name": "shop"})


def plan(run_action, **observed):
    arguments = {"change": "maintenance", "balancers": ["lb1"], **observed}
    return run_action(fleet_plan, arguments, HostVars(HOSTVARS))


def test_balancers_are_selected_before_they_are_queried(run_action):
    assert plan(run_action) == {"changed": False, "balancers": ["lb1"]}


def test_plan_contains_the_servers_of_the_balancers(run_action):
    result = plan(run_action, observed={"lb1": {"asgi_shop": {"web1": SERVER}}})["plan"]
    assert result["backends"] == {"web1": "asgi_shop"}
    assert result["servers"] == {"web1": [{"balancer": "lb1", "backend": "asgi_shop", "server": "web1"}]}


@pytest.mark.parametrize("inventory", [{}, {"asgi_name": "tiles"}])
def test_app_of_the_play_overrides_the_inventory(run_action, inventory):
    """A playbook can be imported once for each app of a host, see docs/how-to/several-apps-on-one-host.md."""
    hostvars = HostVars({"web1": inventory, "web2": inventory})
    servers = {"web1": SERVER, "web2": {**SERVER, "address": "10.0.0.2"}}
    arguments = {"change": "maintenance", "balancers": ["lb1"], "observed": {"lb1": {"asgi_shop": servers}}}
    result = run_action(fleet_plan, arguments, hostvars, asgi_name="shop")
    assert result["plan"]["backends"] == {"web1": "asgi_shop", "web2": "asgi_shop"}

    plans = {
        host: {"previous": "src-3", "previous_config": "c", "release": release, "config": "c"}
        for host, release in (("web1", "src-2"), ("web2", "src-1"))
    }
    hostvars = {host: {**inventory, "__asgi_rollback_plan": plan} for host, plan in plans.items()}
    result = run_action(fleet_plan, {"change": "rollback"}, hostvars, asgi_name="shop")
    assert result["conflicts"] == {"shop": "web1 to src-2, web2 to src-1"}


def test_all_names_of_a_balancer_count():
    """The playbook passes all inventory names of a balancer, because each name adds an app whose backend must exist."""
    playbook = yaml.safe_load((Path(__file__).parents[4] / "playbooks/rolling_maintenance.yml").read_text())
    calls = [task["asgi.deploy.fleet_plan"] for task in playbook[0]["tasks"] if "asgi.deploy.fleet_plan" in task]
    assert [call["balancers"] for call in calls] == ["{{ __asgi_maintain_balancer_names }}"] * 2


def test_balancer_without_the_host_is_an_error(run_action):
    with pytest.raises(AnsibleActionFail, match=r"lb1 has no backend asgi_shop: .*; nothing has been changed"):
        plan(run_action, observed={"lb1": {}})


def test_different_rollback_targets_conflict(run_action):
    def variables(release):
        target = {"previous": "src-3", "previous_config": "c", "release": release, "config": "c"}
        return {"asgi_name": "shop", "__asgi_rollback_plan": target}

    result = run_action(fleet_plan, {"change": "rollback"}, {"web1": variables("src-2"), "web2": variables("src-1")})
    assert result["conflicts"] == {"shop": "web1 to src-2, web2 to src-1"}
