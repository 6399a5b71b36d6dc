"""What is drained for which host, in which order, and what is told afterwards."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.maintain import (
    host_facts,
    maintain_plan,
    maintain_rows,
    maintain_summary,
)

SHOP, TILES = "asgi_shop", "asgi_tiles"


def server(address, status="UP", taken=None):
    admin = {"MAINT": "maint", "DRAIN": "drain"}.get(status, "ready")
    return {"address": address, "admin": admin, "usable": status == "UP", "status": status, "taken": taken}


def of(backend, name):
    return {"backend": backend, "server": name}


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
        (WEBS, {}, ["web1", "web2"], {"web1": [of(SHOP, "web1")], "web2": [of(SHOP, "web2")]}, {}),
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
    plan = maintain_plan(hosts, balancers)
    assert plan["order"] == order
    assert plan["servers"] == servers
    assert plan["along"] == along


def test_that_one_balancer_knows_it_is_enough_to_begin_with_what_was_left():
    assert maintain_plan(WEBS, {"lb1": ONE["lb1"], "lb2": LEFT["lb1"]})["left"] == ["web2"]


@pytest.mark.parametrize(
    ("hosts", "balancers", "words"),
    [
        ({"web1": SHOP, "web7": SHOP}, ONE, "backend asgi_shop on lb1 has no server web7: set the balancers up"),
        ({"web1": TILES}, ONE, "lb1 has no backend asgi_tiles: set"),
        (WEBS, {**ONE, "lb2": {}}, "lb2 has no backend asgi_shop: set"),
    ],
)
def test_hosts_that_a_balancer_does_not_know(hosts, balancers, words):
    with pytest.raises(ValueError, match=words):
        maintain_plan(hosts, balancers)


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

    text = maintain_summary(maintain_rows(hosts, maintain_plan(hosts, balancers), balancers, facts))

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


def test_the_reason_of_a_loop_is_that_of_its_items():
    items = [{"failed": True, "msg": "web2 MAINT"}, {"failed": False, "msg": ""}, {"failed": True, "msg": "web2 MAINT"}]
    failure = {"ansible_failed_result": {"msg": "One or more items failed", "results": items}}
    assert host_facts("web1", failure, [], ["web1"])["reason"] == "web2 MAINT"


def test_the_summary_of_check_mode_says_what_would_be_done():
    variables = {"__asgi_maintain_done": True, "__asgi_maintain_drained": drained((0.1, 7, 0))}
    hosts = {"web1": SHOP}
    facts = {"web1": host_facts("web1", variables, [], [], check_mode=True)}
    text = maintain_summary(maintain_rows(hosts, maintain_plan(hosts, {}), {}, facts))
    assert text.splitlines()[0] == "1 host, none failed; in check mode nothing was changed"
    assert text.splitlines()[-1].split() == ["web1", "would", "be", "done", "-", "-", "-"]


def test_the_summary_without_a_balancer():
    facts = {"web1": host_facts("web1", {"__asgi_maintain_done": True}, [], [])}
    hosts = {"web1": SHOP}
    text = maintain_summary(maintain_rows(hosts, maintain_plan(hosts, {}), {}, facts))
    assert text.splitlines()[0] == "1 host, none failed"
    assert text.splitlines()[-1].split() == ["web1", "done", "-", "-", "-"]
