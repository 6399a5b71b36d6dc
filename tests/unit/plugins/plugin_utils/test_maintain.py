"""What is drained for which host, in which order, and what is told afterwards."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.asgi.deploy.plugins.plugin_utils.maintain import (
    host_facts,
    maintain_plan,
    maintain_rows,
    maintain_summary,
)

PLAYBOOKS = Path(__file__).resolve().parents[4] / "playbooks"
SHOP, TILES = "asgi_shop", "asgi_tiles"


def server(address, status="UP", taken=None):
    admin = {"MAINT": "maint", "DRAIN": "drain"}.get(status, "ready")
    return {"address": address, "admin": admin, "usable": status == "UP", "status": status, "taken": taken}


def of(backend, name, balancer="lb1"):
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
# a port of one address leads to each
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
        (WEBS, ONE, ["web1", "web2"], {"web1": [of(SHOP, "web1")], "web2": [of(SHOP, "web2")]}, {}),
        (WEBS, {}, ["web1", "web2"], {"web1": [], "web2": []}, {}),
        (WEBS, LEFT, ["web2", "web1"], {"web1": [of(SHOP, "web1")], "web2": [of(SHOP, "web2")]}, {}),
        (WEBS, BY_HAND, ["web1", "web2"], {"web1": [of(SHOP, "web1")], "web2": [of(SHOP, "web2")]}, {}),
        (
            WEBS,
            TWO_APPS,
            ["web1", "web2"],
            {"web1": [of(SHOP, "web1"), of(TILES, "web1-tiles")], "web2": [of(SHOP, "web2")]},
            {},
        ),
        (
            {"web1": SHOP, "web1-tiles": TILES},
            TWO_APPS,
            ["web1"],
            {"web1": [of(SHOP, "web1"), of(TILES, "web1-tiles")]},
            {"web1-tiles": "web1"},
        ),
        (WEBS, PORTS, ["web1", "web2"], {"web1": [of(SHOP, "web1")], "web2": [of(SHOP, "web2")]}, {}),
    ],
)
def test_the_plan(hosts, balancers, order, servers, along):
    plan = maintain_plan(hosts, balancers, dict.fromkeys(balancers))
    assert plan["order"] == order
    assert plan["servers"] == servers
    assert plan["along"] == along


def test_that_one_balancer_knows_it_is_enough_to_begin_with_what_was_left():
    balancers = {"lb1": ONE["lb1"], "lb2": LEFT["lb1"]}
    assert maintain_plan(WEBS, balancers, dict.fromkeys(balancers))["left"] == ["web2"]


# two apps on the same machines, each behind balancers of its own
APART = {
    "lb-shop": {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.2")}},
    "lb-tiles": {TILES: {"map1": server("10.0.0.1"), "map2": server("10.0.0.2")}},
}
OWN = {"lb-shop": [SHOP], "lb-tiles": [TILES]}
MAPS = {"map1": TILES, "map2": TILES}


def apart(number):
    return [of(SHOP, f"web{number}", "lb-shop"), of(TILES, f"map{number}", "lb-tiles")]


def test_an_app_behind_another_balancer_is_drained_with_the_machine():
    plan = maintain_plan(WEBS, APART, OWN)
    assert plan["servers"] == {"web1": apart(1), "web2": apart(2)}
    assert plan["balancers"] == {"web1": ["lb-shop"], "web2": ["lb-shop"]}


def test_each_balancer_is_told_of_no_more_than_it_has():
    plan = maintain_plan({**WEBS, **MAPS}, APART, OWN)
    assert plan["servers"] == {"web1": apart(1), "web2": apart(2)}
    assert plan["along"] == {"map1": "web1", "map2": "web2"}
    assert plan["balancers"]["map1"] == ["lb-tiles"]


def test_what_was_left_on_the_balancer_of_another_app_is_begun_with():
    tiles = {**APART["lb-tiles"][TILES], "map2": server("10.0.0.2", "MAINT", {"found": "ready"})}
    assert maintain_plan(WEBS, {**APART, "lb-tiles": {TILES: tiles}}, OWN)["order"] == ["web2", "web1"]


def test_nobody_has_to_know_the_hosts_of_an_app_behind_something_else():
    plan = maintain_plan({"web1": SHOP}, {"lb-tiles": APART["lb-tiles"]}, {"lb-tiles": [TILES]})
    assert (plan["order"], plan["servers"], plan["balancers"]) == (["web1"], {"web1": []}, {"web1": []})


def test_a_machine_has_the_addresses_that_any_balancer_says():
    seen = {"lb1": {SHOP: {"web1": server("10.0.0.1")}}, "lb2": {SHOP: {"web1": server("fd00::1")}}}
    other = {"lb3": {TILES: {"map4": server("10.0.0.1"), "map6": server("fd00::1"), "map9": server("10.0.0.9")}}}
    plan = maintain_plan({"web1": SHOP}, {**seen, **other}, {"lb1": None, "lb2": None, "lb3": [TILES]})
    assert plan["servers"]["web1"][2:] == [of(TILES, "map4", "lb3"), of(TILES, "map6", "lb3")]


def test_a_host_that_goes_along_takes_with_it_what_has_its_address():
    balancers = {
        "lb1": {SHOP: {"web1": server("10.0.0.1")}, TILES: {"map1": server("10.0.0.1")}},
        "lb2": {TILES: {"map1": server("fd00::1")}},
    }
    plan = maintain_plan({"web1": SHOP, "map1": TILES}, balancers, {"lb1": [SHOP, TILES], "lb2": [TILES]})
    assert plan["along"] == {"map1": "web1"}
    assert plan["servers"] == {"web1": [of(SHOP, "web1"), of(TILES, "map1"), of(TILES, "map1", "lb2")]}


@pytest.mark.parametrize(
    "elsewhere",
    [
        # one balancer knows that the address is none of a machine
        {SHOP: {"web1": server("10.0.0.1"), "web2": server("10.0.0.1")}},
        # and what has no address is not at the same one
        {SHOP: {"web1": server("-")}, TILES: {"map9": server("-")}},
    ],
)
def test_servers_that_are_on_the_machine_only_by_the_look_of_it(elsewhere):
    seen = {SHOP: {"web1": elsewhere[SHOP]["web1"]}, TILES: {"map1": server("10.0.0.1")}}
    plan = maintain_plan({"web1": SHOP}, {"lb1": seen, "lb2": elsewhere}, dict.fromkeys(("lb1", "lb2")))
    assert plan["servers"] == {"web1": [of(SHOP, "web1"), of(SHOP, "web1", "lb2")]}


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
def test_hosts_that_a_balancer_does_not_know(hosts, balancers, known, words):
    with pytest.raises(ValueError, match=words):
        maintain_plan(hosts, balancers, known)


def drained(*results):
    return {"results": [{"seconds": seconds, "sessions": sessions, "cut": cut} for seconds, sessions, cut in results]}


def test_the_summary():
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
    plan = maintain_plan(hosts, balancers, dict.fromkeys(balancers))
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
    facts = {name: host_facts(name, its, ["web5"], ["web2"]) for name, its in variables.items()}

    text = maintain_summary(maintain_rows(hosts, plan, balancers, facts))

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
        "drained by maintain.yml and not back: web2, web5. Put them right and run it again: it begins with them",
        "taken out by somebody else, and left so: web4",
    ]


def summary(hosts, plan, balancers):
    facts = {name: host_facts(name, {"__asgi_maintain_done": True}, [], []) for name in hosts}
    return maintain_summary(maintain_rows(hosts, plan, balancers, facts)).splitlines()


def test_only_the_balancers_of_an_app_are_told_of_its_hosts():
    hosts = {**WEBS, **MAPS}
    lines = summary(hosts, maintain_plan(hosts, APART, OWN), APART)
    assert [line.split()[-1] for line in lines[3:]] == ["UP"] * 4


def test_a_balancer_that_does_not_answer_any_more():
    balancers = {**ONE, "lb2": ONE["lb1"], "lb-tiles": APART["lb-tiles"]}
    plan = maintain_plan(WEBS, balancers, {"lb1": [SHOP], "lb2": [SHOP], "lb-tiles": [TILES]})
    lines = summary(WEBS, plan, {**balancers, "lb2": {}, "lb-tiles": {}})
    assert [line.split("  ")[-1].strip() for line in lines[3:]] == ["lb1: UP, lb2: ?"] * 2


def test_what_is_left_drained_on_the_balancer_of_another_app_is_told():
    tiles = {**APART["lb-tiles"][TILES], "map1": server("10.0.0.1", "MAINT", {"found": "ready"})}
    lines = summary(WEBS, maintain_plan(WEBS, APART, OWN), {**APART, "lb-tiles": {TILES: tiles}})
    assert lines[-1].startswith("drained by maintain.yml and not back: web1. ")


@pytest.mark.parametrize("how", ["failed", "unreachable"])
def test_the_reason_of_a_loop_is_that_of_its_items(how):
    items = [{how: True, "msg": "web2 MAINT"}, {"failed": False, "msg": ""}, {"failed": True, "msg": "web2 MAINT"}]
    failure = {"ansible_failed_result": {"msg": "One or more items failed", "results": items[:2]}}
    assert host_facts("web1", failure, [], ["web1"])["reason"] == "web2 MAINT"
    failure["ansible_failed_result"]["results"] = items
    assert host_facts("web1", failure, [], ["web1"])["reason"] == "web2 MAINT"


def test_the_summary_of_check_mode_says_what_would_be_done():
    variables = {"__asgi_maintain_done": True, "__asgi_maintain_drained": drained((0.1, 7, 0))}
    hosts = {"web1": SHOP}
    facts = {"web1": host_facts("web1", variables, [], [], check_mode=True)}
    text = maintain_summary(maintain_rows(hosts, maintain_plan(hosts, {}, {}), {}, facts))
    assert text.splitlines()[0] == "1 host, none failed; in check mode nothing was changed"
    assert text.splitlines()[-1].split() == ["web1", "would", "be", "done", "-", "-", "-"]


def test_the_summary_without_a_balancer():
    facts = {"web1": host_facts("web1", {"__asgi_maintain_done": True}, [], [])}
    hosts = {"web1": SHOP}
    text = maintain_summary(maintain_rows(hosts, maintain_plan(hosts, {}, {}), {}, facts))
    assert text.splitlines()[0] == "1 host, none failed"
    assert text.splitlines()[-1].split() == ["web1", "done", "-", "-", "-"]


@pytest.fixture
def templated():
    """Return what a variable of vars/maintain.yml comes to."""

    def template(name, **variables):
        loader = DataLoader()
        own = loader.load_from_file(str(PLAYBOOKS / "vars/maintain.yml"), trusted_as_template=True)
        return Templar(loader, variables={**own, **variables}).template(own[name])

    return template


def test_what_is_not_counted_is_what_leaves_the_same_backend_of_the_same_balancer(templated):
    variables = {
        "__asgi_maintain_plan": maintain_plan(WEBS, {**APART, "lb2": APART["lb-shop"]}, {**OWN, "lb2": [SHOP]}),
        "__asgi_deploy_batch": ["web1", "web2"],
        "inventory_hostname": "web1",
    }
    servers = templated("__asgi_maintain_servers", **variables)
    together = [templated("__asgi_maintain_together", __asgi_maintain_server=each, **variables) for each in servers]
    assert [each["balancer"] for each in servers] == ["lb-shop", "lb-tiles", "lb2"]
    assert together == [["web1", "web2"], ["map1", "map2"], ["web1", "web2"]]
    alone = {**variables, "__asgi_deploy_batch": ["web2"], "__asgi_maintain_server": servers[1]}
    assert templated("__asgi_maintain_together", **alone) == ["map2"]


def test_what_is_said_of_balancers_that_cannot_be_reached(templated):
    lost = {"unreachable": True, "changed": False, "msg": "Connection refused"}
    results = [
        {"changed": True, "failed": False, "sessions": 0, "__asgi_maintain_server": of(SHOP, "web1")},
        {**lost, "__asgi_maintain_server": of(SHOP, "web1", "lb2")},
        {**lost, "__asgi_maintain_server": of(TILES, "map1", "lb2")},
    ]
    said = templated(
        "__asgi_maintain_unreached_says", __asgi_maintain_told={"results": results}, inventory_hostname="web1"
    )
    assert said.startswith("lb2 cannot be reached, and may have web1 drained: Connection refused -> see why, and ")
    assert templated("__asgi_maintain_unreached", __asgi_maintain_told={"results": results[:1]}) == []


def flat(tasks):
    for task in tasks:
        yield from flat(task["block"]) if "block" in task else [task]


@pytest.mark.parametrize(("name", "loops"), [("drain", 3), ("give_back", 1)])
def test_no_balancer_takes_a_host_out_of_the_play(name, loops):
    """Ansible would do so, without `always`, where a task that is delegated ends as unreachable."""
    tasks = list(flat(yaml.safe_load((PLAYBOOKS / f"tasks/{name}.yml").read_text())))
    found = [(task, then) for task, then in pairwise(tasks) if "delegate_to" in task]
    assert len(found) == loops
    for task, then in found:
        assert task["ignore_unreachable"] is True
        # at once, as sessions are of no result that there is not
        assert then["ansible.builtin.assert"]["that"] == "not __asgi_maintain_unreached"
        assert then["vars"] == {"__asgi_maintain_told": f"{{{{ {task['register']} }}}}"}
