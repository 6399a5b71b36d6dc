"""Checks that balancers can share a virtual address, and that exactly one balancer holds the address."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.vrrp import (
    balancer_claims,
    balancer_problems,
    interface_problems,
    vrrp_clashes,
)

APP = {
    "asgi_name": "shop",
    "asgi_balancer_app": {"server_names": ["shop.test"]},
    "asgi_balancer_http_port": 80,
    "asgi_balancer_https_port": 443,
    "asgi_balancer_redirect": True,
    "asgi_balancer_tls_provider": "selfsigned",
}
PEERS = ("192.0.2.11", "192.0.2.12")


def claimed(address, peers=PEERS, virtual="192.0.2.10/24", router_id=51):
    options = {
        **APP,
        "asgi_balancer_virtual_ip": virtual,
        "asgi_balancer_router_id": router_id,
        "asgi_balancer_address": address,
        "asgi_balancer_peers": list(peers),
        "asgi_balancer_vrrp_password": "hidden",
    }
    return {"claims": balancer_claims(options)}


def test_claims_contain_no_password():
    assert "hidden" not in str(claimed("192.0.2.11"))
    assert "vrrp" not in balancer_claims(APP)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"443": ["shop.test"], "80": ["shop.test"]}),
        ({"asgi_balancer_redirect": False}, {"443": ["shop.test"]}),
        (
            {
                "asgi_balancer_server_names": ["a.test"],
                "asgi_balancer_https_port": 8443,
                "asgi_balancer_redirect": False,
            },
            {"8443": ["a.test"]},
        ),
    ],
)
def test_claims_contain_names_and_ports(changes, names):
    found = balancer_claims({**APP, **changes})
    assert found["names"] == names
    assert sorted(str(each["port"]) for each in found["listeners"]) == sorted(names)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({}, []),
        ({"virtual": "192.0.2.10/25"}, []),
        (
            {"virtual": "192.0.2.20/24", "router_id": 52},
            ["is 192.0.2.10/24 and 192.0.2.20/24 -> set the same address for both [virtual-ip-differs]"],
        ),
        (
            {"virtual": "192.0.2.20/24"},
            [
                "[virtual-ip-differs]",
                "is 51 and 51 -> use a different id for each virtual address [router-id-duplicate]",
            ],
        ),
        ({"router_id": 52}, ["asgi_balancer_router_id is 51 and 52 -> set the same id for both [router-id-differs]"]),
        (
            {"peers": ["192.0.2.12", "192.0.2.13"]},
            ["hold it -> use a different address for each group of balancers [virtual-ip-taken]"],
        ),
        # another pair on the same network: with unicast, it can use the same id
        ({"peers": ["192.0.2.12", "192.0.2.13"], "virtual": "192.0.2.20/24", "router_id": 52}, []),
        ({"peers": ["192.0.2.13", "192.0.2.14"], "virtual": "192.0.2.20/24"}, []),
    ],
)
def test_clashes_of_two_balancers(other, expected):
    hostvars = {"lb1": {"result": claimed("192.0.2.11")}, "lb2": {"result": claimed("192.0.2.12", **other)}}
    found = vrrp_clashes(["lb1", "lb2"], hostvars, "result")
    assert len(found) == len(expected)
    assert all(words in each and "lb1 and lb2" in each for each, words in zip(found, expected, strict=True))


def test_balancers_without_a_virtual_address_do_not_clash():
    hostvars = {"lb1": {"result": {"claims": balancer_claims(APP)}}, "lb2": {"result": {"changed": False}}, "lb3": {}}
    assert vrrp_clashes(["lb1", "lb2", "lb3"], hostvars, "result") == []


INTERFACES = {"lo": ["127.0.0.1/8"], "eth0": ["192.0.2.11/24", "2001:db8::1/64"], "eth1": []}


@pytest.mark.parametrize(
    ("interface", "address", "expected"),
    [
        ("eth0", "192.0.2.11", ""),
        ("eth1", "192.0.2.11", ""),
        (
            "eth3",
            "192.0.2.11",
            "asgi_balancer_interface is 'eth3', which is not an interface of this host -> use one of: eth0",
        ),
        ("lo", "192.0.2.11", "asgi_balancer_interface is 'lo', which is not reachable from other hosts"),
        ("eth0", "192.0.2.1", "asgi_balancer_address is 192.0.2.1, which is not an address of this host"),
    ],
)
def test_problems_of_interface_and_address(interface, address, expected):
    found = interface_problems(INTERFACES, interface, address)
    assert len(found) == bool(expected)
    assert all(
        each.startswith(expected) and "eth0 (192.0.2.11/24, 2001:db8::1/64), eth1 (no address)" in each
        for each in found
    )


def test_addresses_are_not_compared_without_iproute2():
    assert interface_problems({}, "eth0", "192.0.2.11") == []
    assert interface_problems({"lo": [], "eth0": []}, "eth0", "192.0.2.11") == []
    assert len(interface_problems({"lo": [], "eth0": []}, "eth7", "192.0.2.11")) == 1


GOOD = {"holds": False, "answers": True, "running": True, "state": "BACKUP", "script": "", "log": []}
NONE = {**GOOD, "answers": False}


def problems(*seen, peers=PEERS, **faults):
    hostvars = {
        f"lb{number}": {
            "health": {
                "faults": faults,
                "virtual_ip": "192.0.2.10/24",
                "address": f"192.0.2.1{number}",
                "peers": list(peers),
                "vrrp": each,
            }
        }
        for number, each in enumerate(seen, start=1)
    }
    return balancer_problems(list(hostvars), hostvars, "health")


def test_one_balancer_holds_the_address():
    assert problems({**GOOD, "holds": True, "state": "MASTER"}, GOOD) == []


def test_both_balancers_hold_the_address():
    [problem] = problems({**GOOD, "holds": True}, {**GOOD, "holds": True})
    assert problem.startswith("lb1 and lb2 hold 192.0.2.10 at the same time")
    assert "IP protocol 112) between 192.0.2.11 and 192.0.2.12" in problem


def test_two_names_of_one_machine_are_one_balancer():
    checked = {"faults": {}, "virtual_ip": "192.0.2.10/24", "address": "192.0.2.11", "peers": PEERS}
    seen = {"health": {**checked, "vrrp": {**GOOD, "holds": True}}}
    assert balancer_problems(["lb1-shop", "lb1-blog"], {"lb1-shop": seen, "lb1-blog": seen}, "health") == []


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"running": False}, "lb1: keepalived does not run: systemctl start keepalived"),
        ({"script": "ConnectionRefusedError"}, "because HAProxy does not answer: ConnectionRefusedError"),
        ({"state": "FAULT", "log": ["no address"]}, "lb1: keepalived is in the state FAULT; its log: no address"),
        ({"state": ""}, "lb1: keepalived is in the state none"),
    ],
)
def test_no_balancer_holds_the_address(changes, cause):
    [problem] = problems({**NONE, **changes}, NONE)
    assert problem.startswith("no balancer holds 192.0.2.10, so no client reaches it -> ")
    assert cause in problem
    assert "lb2: keepalived is in the state BACKUP" in problem


def test_another_machine_uses_the_address():
    [problem] = problems(GOOD, GOOD)
    assert "another machine uses it" in problem


def test_balancer_outside_the_limit_may_hold_the_address():
    assert problems(GOOD) == []
    assert len(problems(NONE)) == 1


def test_balancer_without_a_working_server():
    found = problems({**GOOD, "holds": True}, **{"shop.test": "answered 'HTTP 503'"})
    [problem] = found
    assert problem.startswith(
        "lb1 does not pass clients of shop.test on to the app: answered 'HTTP 503' -> run site.yml"
    )


def test_check_mode_has_no_results():
    assert balancer_problems(["lb1"], {"lb1": {"health": {"skipped": True}}}, "health") == []
