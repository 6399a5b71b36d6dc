"""Order of hosts, servers to drain, and the summary of rolling maintenance."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.maintenance import (
    balancers_to_query,
    host_result,
    maintenance_plan,
    maintenance_rows,
    maintenance_summary,
)
from ansible_core import load_templates

PLAYBOOKS = Path(__file__).resolve().parents[5] / "playbooks"
SHOP, TILES = "asgi_shop", "asgi_tiles"


def server(address, status="UP", taken=None):
    admin = {"MAINT": "maint", "DRAIN": "drain"}.get(status, "ready")
    return {"address": address, "admin": admin, "usable": status == "UP", "status": status, "taken": taken}


def place(backend, name, balancer="lb1"):
    return {"balancer": balancer, "backend": backend, "server": name}


ONE = {"lb1": {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.2")}}}
LEFT = {"lb1": {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.2", "MAINT", {"found": "ready"})}}}
BY_HAND = {"lb1": {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.2", "MAINT")}}}
TWO_APPS = {
    "lb1": {
        SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.2")},
        TILES: {"web1-tiles": server("10.0.0.1"), "web3-tiles": server("10.0.0.3")},
    }
}
# the servers share one address, and differ by their ports
PORTS = {
    "lb1": {
        SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.1")},
        TILES: {"web1-tiles": server("10.0.0.1"), "web2-tiles": server("10.0.0.1")},
    }
}
WEBS = {"web1": SHOP, "web2": SHOP}


@pytest.mark.parametrize(
    ("hosts", "balancers", "order", "servers", "along"),
    [
        (WEBS, ONE, ["web1", "web2"], {"web1": [place(SHOP, "web1")], "web2": [place(SHOP, "web2")]}, {}),
        (WEBS, {}, ["web1", "web2"], {"web1": [], "web2": []}, {}),
        (WEBS, LEFT, ["web2", "web1"], {"web1": [place(SHOP, "web1")], "web2": [place(SHOP, "web2")]}, {}),
        (WEBS, BY_HAND, ["web1", "web2"], {"web1": [place(SHOP, "web1")], "web2": [place(SHOP, "web2")]}, {}),
        (
            WEBS,
            TWO_APPS,
            ["web1", "web2"],
            {"web1": [place(SHOP, "web1"), place(TILES, "web1-tiles")], "web2": [place(SHOP, "web2")]},
            {},
        ),
        (
            {"web1": SHOP, "web1-tiles": TILES},
            TWO_APPS,
            ["web1"],
            {"web1": [place(SHOP, "web1"), place(TILES, "web1-tiles")]},
            {"web1-tiles": "web1"},
        ),
        (WEBS, PORTS, ["web1", "web2"], {"web1": [place(SHOP, "web1")], "web2": [place(SHOP, "web2")]}, {}),
    ],
)
def test_order_and_servers(hosts, balancers, order, servers, along):
    plan = maintenance_plan(hosts, balancers, dict.fromkeys(balancers))
    assert plan["order"] == order
    assert plan["servers"] == servers
    assert plan["along"] == along


def test_host_left_drained_on_one_balancer_comes_first():
    balancers = {"lb1": ONE["lb1"], "lb2": LEFT["lb1"]}
    assert maintenance_plan(WEBS, balancers, dict.fromkeys(balancers))["left"] == ["web2"]


# two apps on the same machines, each with its own balancers
APART = {
    "lb-shop": {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.2")}},
    "lb-tiles": {TILES: {"map1": server("10.0.0.1"), "map2": server("10.0.0.2")}},
}
OWN = {"lb-shop": [SHOP], "lb-tiles": [TILES]}
MAPS = {"map1": TILES, "map2": TILES}


def apart(number):
    return [place(SHOP, f"web{number}", "lb-shop"), place(TILES, f"map{number}", "lb-tiles")]


def test_an_app_behind_another_balancer_is_drained_with_the_machine():
    plan = maintenance_plan(WEBS, APART, OWN)
    assert plan["servers"] == {"web1": apart(1), "web2": apart(2)}
    assert plan["balancers"] == {"web1": ["lb-shop"], "web2": ["lb-shop"]}


def test_a_balancer_needs_only_the_servers_of_its_own_apps():
    plan = maintenance_plan({**WEBS, **MAPS}, APART, OWN)
    assert plan["servers"] == {"web1": apart(1), "web2": apart(2)}
    assert plan["along"] == {"map1": "web1", "map2": "web2"}
    assert plan["balancers"]["map1"] == ["lb-tiles"]


def test_host_left_drained_on_the_balancer_of_another_app_comes_first():
    tiles = {**APART["lb-tiles"][TILES], "map2": server("10.0.0.2", "MAINT", {"found": "ready"})}
    assert maintenance_plan(WEBS, {**APART, "lb-tiles": {TILES: tiles}}, OWN)["order"] == ["web2", "web1"]


def test_balancer_of_another_app_need_not_have_the_host():
    plan = maintenance_plan({"web1": SHOP}, {"lb-tiles": APART["lb-tiles"]}, {"lb-tiles": [TILES]})
    assert (plan["order"], plan["servers"], plan["balancers"]) == (["web1"], {"web1": []}, {"web1": []})


def test_addresses_of_all_balancers_identify_a_machine():
    seen = {"lb1": {SHOP: {"web1": server("10.0.0.1")}}, "lb2": {SHOP: {"web1": server("fd00::1")}}}
    other = {"lb3": {TILES: {"map4": server("10.0.0.1"), "map6": server("fd00::1"), "map9": server("10.0.0.9")}}}
    plan = maintenance_plan({"web1": SHOP}, {**seen, **other}, {"lb1": None, "lb2": None, "lb3": [TILES]})
    assert plan["servers"]["web1"][2:] == [place(TILES, "map4", "lb3"), place(TILES, "map6", "lb3")]


def test_addresses_of_a_host_that_goes_along_count():
    balancers = {
        "lb1": {SHOP: {"web1": server("10.0.0.1")}, TILES: {"map1": server("10.0.0.1")}},
        "lb2": {TILES: {"map1": server("fd00::1")}},
    }
    plan = maintenance_plan({"web1": SHOP, "map1": TILES}, balancers, {"lb1": [SHOP, TILES], "lb2": [TILES]})
    assert plan["along"] == {"map1": "web1"}
    assert plan["servers"] == {"web1": [place(SHOP, "web1"), place(TILES, "map1"), place(TILES, "map1", "lb2")]}


@pytest.mark.parametrize(
    "elsewhere",
    [
        # one balancer has two servers with this address
        {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.1")}},
        # two servers without an address
        {SHOP: {"web1": server("-")}, TILES: {"map9": server("-")}},
    ],
)
def test_ambiguous_addresses_identify_no_machine(elsewhere):
    seen = {SHOP: {"web1": elsewhere[SHOP]["web1"]}, TILES: {"map1": server("10.0.0.1")}}
    plan = maintenance_plan({"web1": SHOP}, {"lb1": seen, "lb2": elsewhere}, dict.fromkeys(("lb1", "lb2")))
    assert plan["servers"] == {"web1": [place(SHOP, "web1"), place(SHOP, "web1", "lb2")]}


@pytest.mark.parametrize(
    ("hosts", "balancers", "known", "words"),
    [
        ({"web1": SHOP, "web7": SHOP}, ONE, {"lb1": None}, "backend asgi_shop on lb1 has no server web7: set the bal"),
        ({"web1": SHOP, "web7": SHOP}, ONE, {"lb1": [SHOP]}, "backend asgi_shop on lb1 has no server web7: set the "),
        ({"web1": TILES}, ONE, {"lb1": None}, "lb1 has no backend asgi_tiles: set"),
        (WEBS, {**ONE, "lb2": {}}, {"lb1": [SHOP], "lb2": None}, "lb2 has no backend asgi_shop: set"),
        ({**WEBS, **MAPS}, APART, {**OWN, "lb-tiles": None}, "^lb-tiles has no backend asgi_shop: set"),
    ],
)
def test_balancer_without_a_required_server_is_an_error(hosts, balancers, known, words):
    with pytest.raises(ValueError, match=words):
        maintenance_plan(hosts, balancers, known)


def test_balancers_of_all_apps_are_queried():
    names = {"web1": "shop", "map1": "tiles", "lb-tiles": "tiles", "lb-shop": "shop", "lb-blog": "blog"}
    hostvars = {**{host: {"asgi_name": name} for host, name in names.items()}, "lb": {}}
    balancers = ["lb-tiles", "lb", "lb-shop", "lb-blog"]

    # balancers of other apps may send traffic to the same machines
    required = balancers_to_query(balancers, hostvars, ["web1"])
    assert required == {"lb-shop": ["asgi_shop"], "lb-tiles": ["asgi_tiles"], "lb": None, "lb-blog": ["asgi_blog"]}
    assert next(iter(required)) == "lb-shop"
    assert list(balancers_to_query(balancers, hostvars, ["web1", "map1"]))[:2] == ["lb-tiles", "lb-shop"]
    assert balancers_to_query([], hostvars, ["web1"]) == {}


def test_balancer_of_several_apps_is_queried_once():
    hostvars = {
        "web1": {"asgi_name": "shop"},
        "lb1-tiles": {"asgi_name": "tiles", "ansible_host": "10.0.0.11"},
        "lb1-shop": {"asgi_name": "shop", "ansible_host": "10.0.0.11"},
        "lb2-shop": {"asgi_name": "shop", "ansible_host": "10.0.0.12"},
        "lb2": {"ansible_host": "10.0.0.12"},
    }
    balancers = [name for name in hostvars if name.startswith("lb")]
    assert balancers_to_query(balancers, hostvars, ["web1"]) == {
        "lb1-shop": ["asgi_shop", "asgi_tiles"],
        "lb2-shop": None,
    }


def test_machines_behind_one_address_are_queried_separately():
    hostvars = {name: {"asgi_name": "shop", "ansible_host": "gate", "ansible_port": name} for name in ("2201", "2202")}
    assert len(balancers_to_query(hostvars, hostvars, [])) == 2


def test_invalid_app_name_of_a_balancer_is_an_error():
    with pytest.raises(ValueError, match="is not a valid app name"):
        balancers_to_query(["lb"], {"lb": {"asgi_name": "No App"}}, [])


def drained(*results):
    return {"results": [{"seconds": seconds, "sessions": sessions, "cut": cut} for seconds, sessions, cut in results]}


def test_summary():
    hosts = {"web1": SHOP, "web1-tiles": TILES, "web2": SHOP, "web3": SHOP, "web4": SHOP, "web5": SHOP}
    shop = {
        "web1": server("10.0.0.1"),
        "web2": server("10.0.0.2", "MAINT", {"found": "ready"}),
        "web3": server("10.0.0.3"),
        "web4": server("10.0.0.4", "DRAIN"),
        "web5": server("10.0.0.5", "MAINT", {"found": "ready"}),
    }
    first = {SHOP: shop, TILES: {"web1-tiles": server("10.0.0.1")}}
    second = {**first, SHOP: {**shop, "web4": server("10.0.0.4")}}
    balancers = {"lb1": first, "lb2": second}
    plan = maintenance_plan(hosts, balancers, dict.fromkeys(balancers))
    variables = {
        "web1": {"__asgi_maintain_done": True, "__asgi_maintain_drained": drained((0.4, 0, 0), (1.2, 2, 0))},
        "web1-tiles": {},
        "web2": {
            "__asgi_maintain_drained": drained((0.1, 0, 3)),
            "ansible_failed_result": {"msg": "no such package\ntraceback"},
        },
        "web3": {},
        "web4": {"__asgi_maintain_done": True, "__asgi_maintain_drained": drained((0.0, 0, 0))},
        "web5": {"ansible_failed_result": {"msg": "of an earlier task"}},
    }
    results = {
        name: host_result(name, variables_of_host, ["web5"], ["web2"]) for name, variables_of_host in variables.items()
    }

    text = maintenance_summary(maintenance_rows(plan, balancers, results))

    assert text.splitlines() == [
        "2 of 6 hosts failed",
        "",
        "host        outcome      drained in  ended early  on the balancers",
        "web1        done         1.6 s       2            UP",
        "web1-tiles  with web1    -           -            UP",
        "web2        failed       0.1 s       3            MAINT",
        "web3        not touched  -           -            UP",
        "web4        done         0.0 s       0            lb1: DRAIN, lb2: UP",
        "web5        unreachable  -           -            MAINT",
        "",
        "web2: no such package",
        "  traceback",
        "still drained by rolling_maintenance.yml: web2, web5 -> fix them and run it again; it starts with them",
        "drained or in maintenance before this run, and left unchanged: web4",
    ]


def summary(hosts, plan, balancers):
    results = {name: host_result(name, {"__asgi_maintain_done": True}, [], []) for name in hosts}
    return maintenance_summary(maintenance_rows(plan, balancers, results)).splitlines()


def test_summary_shows_only_balancers_of_the_app():
    hosts = {**WEBS, **MAPS}
    lines = summary(hosts, maintenance_plan(hosts, APART, OWN), APART)
    assert [line.split()[-1] for line in lines[3:]] == ["UP"] * 4


def test_balancer_without_a_response_is_a_question_mark():
    balancers = {**ONE, "lb2": ONE["lb1"], "lb-tiles": APART["lb-tiles"]}
    plan = maintenance_plan(WEBS, balancers, {"lb1": [SHOP], "lb2": [SHOP], "lb-tiles": [TILES]})
    lines = summary(WEBS, plan, {**balancers, "lb2": {}, "lb-tiles": {}})
    assert [line.split("  ")[-1].strip() for line in lines[3:]] == ["lb1: UP, lb2: ?"] * 2


def test_summary_reports_hosts_left_drained_on_balancers_of_other_apps():
    tiles = {**APART["lb-tiles"][TILES], "map1": server("10.0.0.1", "MAINT", {"found": "ready"})}
    lines = summary(WEBS, maintenance_plan(WEBS, APART, OWN), {**APART, "lb-tiles": {TILES: tiles}})
    assert lines[-1].startswith("still drained by rolling_maintenance.yml: web1 -> ")


@pytest.mark.parametrize("how", ["failed", "unreachable"])
def test_error_of_a_loop_is_the_error_of_its_items(how):
    items = [{how: True, "msg": "web2 MAINT"}, {"failed": False, "msg": ""}, {"failed": True, "msg": "web2 MAINT"}]
    failure = {"ansible_failed_result": {"msg": "One or more items failed", "results": items[:2]}}
    assert host_result("web1", failure, [], ["web1"])["reason"] == "web2 MAINT"
    failure["ansible_failed_result"]["results"] = items
    assert host_result("web1", failure, [], ["web1"])["reason"] == "web2 MAINT"


def test_summary_of_check_mode():
    variables = {"__asgi_maintain_done": True, "__asgi_maintain_drained": drained((0.1, 7, 0))}
    hosts = {"web1": SHOP}
    results = {"web1": host_result("web1", variables, [], [], check_mode=True)}
    text = maintenance_summary(maintenance_rows(maintenance_plan(hosts, {}, {}), {}, results))
    assert text.splitlines()[0] == "1 host, none failed; in check mode nothing was changed"
    assert text.splitlines()[-1].split() == ["web1", "would", "be", "done", "-", "-", "-"]


def test_summary_without_a_balancer():
    results = {"web1": host_result("web1", {"__asgi_maintain_done": True}, [], [])}
    hosts = {"web1": SHOP}
    text = maintenance_summary(maintenance_rows(maintenance_plan(hosts, {}, {}), {}, results))
    assert text.splitlines()[0] == "1 host, none failed"
    assert text.splitlines()[-1].split() == ["web1", "done", "-", "-", "-"]


@pytest.fixture
def templated():
    """Return a function that templates a variable of vars/rolling_maintenance.yml."""

    def template(name, **variables):
        loader = DataLoader()
        own = load_templates(PLAYBOOKS / "vars/rolling_maintenance.yml")
        return Templar(loader, variables={**own, **variables}).template(own[name])

    return template


def test_servers_of_a_batch_are_drained_together_per_backend_and_balancer(templated):
    variables = {
        "__asgi_maintain_planned": {
            "plan": maintenance_plan(WEBS, {**APART, "lb2": APART["lb-shop"]}, {**OWN, "lb2": [SHOP]})
        },
        "__asgi_fleet_batch": ["web1", "web2"],
        "inventory_hostname": "web1",
    }
    servers = templated("__asgi_maintain_servers", **variables)
    together = [templated("__asgi_maintain_together", __asgi_maintain_server=each, **variables) for each in servers]
    assert [each["balancer"] for each in servers] == ["lb-shop", "lb-tiles", "lb2"]
    assert together == [["web1", "web2"], ["map1", "map2"], ["web1", "web2"]]
    alone = {**variables, "__asgi_fleet_batch": ["web2"], "__asgi_maintain_server": servers[1]}
    assert templated("__asgi_maintain_together", **alone) == ["map2"]


def test_message_about_unreachable_balancers(templated):
    lost = {"unreachable": True, "changed": False, "msg": "Connection refused"}
    results = [
        {"changed": True, "failed": False, "sessions": 0, "__asgi_maintain_server": place(SHOP, "web1")},
        {**lost, "__asgi_maintain_server": place(SHOP, "web1", "lb2")},
        {**lost, "__asgi_maintain_server": place(TILES, "map1", "lb2")},
    ]
    message = templated(
        "__asgi_maintain_unreachable_message", __asgi_maintain_loop={"results": results}, inventory_hostname="web1"
    )
    assert message.startswith(
        "lb2 cannot be reached, and may have web1 drained: Connection refused -> fix the connection"
    )
    assert templated("__asgi_maintain_unreachable", __asgi_maintain_loop={"results": results[:1]}) == []


def flat(tasks):
    for task in tasks:
        yield from flat(task["block"]) if "block" in task else [task]


@pytest.mark.parametrize(("name", "loops"), [("drain", 3), ("undrain", 1)])
def test_unreachable_balancer_does_not_remove_a_host_from_the_play(name, loops):
    """If a delegated task is unreachable, Ansible removes the host from the play without running its `always` section."""
    tasks = list(flat(yaml.safe_load((PLAYBOOKS / f"tasks/fleet/{name}.yml").read_text())))
    found = [(task, then) for task, then in pairwise(tasks) if "delegate_to" in task]
    assert len(found) == loops
    for task, then in found:
        assert task["ignore_unreachable"] is True
        # the assertion must follow directly, because the next task reads the results
        assert then["ansible.builtin.assert"]["that"] == "not __asgi_maintain_unreachable"
        assert then["vars"] == {"__asgi_maintain_loop": f"{{{{ {task['register']} }}}}"}
