"""The output of ip(8) and keepalived's journal."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._balancer import vrrp as module
from ansible_collections.asgi.deploy.plugins.module_utils._balancer.vrrp import (
    complaints,
    interfaces,
    local_addresses,
    parse_addresses,
    parse_state,
)

SHOWN = json.dumps(
    [
        {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
        {
            "ifname": "eth0",
            "addr_info": [
                {"family": "inet", "local": "192.0.2.11", "prefixlen": 24},
                {"family": "inet", "local": "192.0.2.10", "prefixlen": 24, "secondary": True},
            ],
        },
        {"ifname": "eth1", "addr_info": [{}]},
        {"ifname": "eth2"},
        {},
    ]
)
# Log of keepalived 2.3.3: first without CAP_NET_ADMIN, then without a running HAProxy.
JOURNAL = """\
Starting keepalived.service - Keepalive Daemon (LVS and VRRP)...
Starting Keepalived v2.3.3 (03/30,2025)
Command line: '/usr/sbin/keepalived' '--dont-fork'
Configuration file /etc/keepalived/keepalived.conf
NOTICE: setting config option max_auto_priority should result in better keepalived performance
Starting VRRP child process, pid=469
Startup complete
Netlink: error: Operation not permitted(1), type=RTM_DELADDR(21), seq=1796035181, pid=0
Netlink: error: Operation not permitted(1), type=RTM_DELADDR(21), seq=1796035182, pid=0
VRRP_Script(asgi_haproxy) succeeded
Track script asgi_haproxy is already running, expect idle - skipping run
(asgi) Entering BACKUP STATE (init)
(asgi) Entering MASTER STATE
Netlink: error: Operation not permitted(1), type=RTM_NEWADDR(20), seq=1796035183, pid=0
Script `asgi_haproxy` now returning 1
(asgi) Entering FAULT STATE
"""


def test_addresses_by_interface():
    found = parse_addresses(SHOWN)
    assert found == {"lo": ["127.0.0.1/8"], "eth0": ["192.0.2.11/24", "192.0.2.10/24"], "eth1": [], "eth2": []}


@pytest.mark.parametrize("answer", [(127, "", "ip: not found"), (0, "", ""), (0, "Object is unknown", "")])
def test_a_host_without_iproute2(monkeypatch, tmp_path, answer):
    monkeypatch.setattr(module, "INTERFACES", str(tmp_path))
    for name in ("lo", "eth0"):
        (tmp_path / name).mkdir()
    assert interfaces(lambda _argv: answer) == {"eth0": [], "lo": []}


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.10
           /32 host LOCAL
        |-- 192.0.2.11
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
"""


def test_the_addresses_of_a_host():
    assert local_addresses(FIB_TRIE) == {"192.0.2.10", "192.0.2.11", "127.0.0.1"}
    assert local_addresses("") == set()


def test_the_last_state_and_the_cause():
    assert parse_state(JOURNAL) == "FAULT"
    assert parse_state("Starting\n") == ""
    assert complaints(JOURNAL) == [
        "Netlink: error: Operation not permitted(1), type=RTM_DELADDR(21)",
        "Netlink: error: Operation not permitted(1), type=RTM_NEWADDR(20)",
        "Script `asgi_haproxy` now returning 1",
        "(asgi) Entering FAULT STATE",
    ]
    assert complaints("Starting keepalived.service\nStartup complete\n") == []
