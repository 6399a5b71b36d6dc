"""What an app may have keepalived do that others share; the role's own tasks, variables and template are what is asked."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[4] / "roles/asgi_balancer"
TEMPLATE = ROLE / "templates/etc/keepalived/keepalived.conf.j2"
APP = {
    "asgi_balancer_virtual_ip": "192.0.2.10/24",
    "asgi_balancer_interface": "eth0",
    "asgi_balancer_router_id": 51,
    "asgi_balancer_vrrp_password": "s3cret",
    "asgi_balancer_peers": ["10.0.0.8", "10.0.0.9"],
    "asgi_balancer_address": "10.0.0.9",
    "asgi_balancer_change_port": False,
}
OTHER_PASSWORD = {"asgi_balancer_vrrp_password": "an0ther"}
OTHERS = [{"path": "/etc/haproxy/asgi/asgi-shop.cfg"}]


def load(path):
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def templar(**variables):
    return Templar(DataLoader(), variables={**load("vars/main.yml"), **APP, **variables})


def written(**changes):
    """Return the keepalived.conf of an app with these *changes*."""
    return templar(**changes).template(trust_as_template(TEMPLATE.read_text()))


def refused(keepalived_conf, others=(), **changes):
    """Return what an app with these *changes* is told where that is on the balancer, None if it may go on."""
    tasks = {task["name"].removeprefix("agreed | "): task for task in load("tasks/agreed.yml")}
    look = tasks["Look for other apps, as this one wants something else than keepalived does"]
    see = tasks["See that all apps of the balancer agree"]["ansible.builtin.assert"]

    file = {} if keepalived_conf is None else {"content": b64encode(keepalived_conf.encode()).decode()}
    found = {"matched": len(others), "files": list(others)}
    host = templar(__asgi_balancer_keepalived_file=file, __asgi_balancer_other_apps=found, **changes)
    if not host.evaluate_conditional(look["when"]) or host.evaluate_conditional(see["that"]):
        return None
    return host.template(see["fail_msg"])


@pytest.mark.parametrize("found", [None, written(), f"{written()}# Not loaded yet.\n"])
def test_who_wants_the_same_or_is_the_first_may_go_on(found):
    assert refused(found, OTHERS) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (OTHER_PASSWORD, ["keepalived has another asgi_balancer_vrrp_password than this app; nothing has"]),
        ({"asgi_balancer_router_id": 52}, ["router_id=51", "router_id=52", "asgi_balancer_peers; nothing"]),
        (
            {**OTHER_PASSWORD, "asgi_balancer_interface": "eth1"},
            ["interface=eth0", "interface=eth1", "asgi_balancer_peers, and another asgi_balancer_vrrp_password than"],
        ),
    ],
)
def test_who_wants_it_otherwise_is_refused_beside_others(changes, said):
    message = refused(written(), OTHERS, **changes)
    assert [text for text in [*said, "asgi-shop.cfg", "asgi_balancer_change_port"] if text not in message] == []
    # alone, or meaning all of them
    assert refused(written(), **changes) is None
    assert refused(written(), OTHERS, **changes, asgi_balancer_change_port=True) is None


def test_a_password_is_not_told():
    message = refused(written(), OTHERS, **OTHER_PASSWORD, asgi_balancer_router_id=52)
    assert "an0ther" not in message
    assert "s3cret" not in message


def test_the_password_is_compared_where_an_older_version_has_not_said_what_was_agreed():
    older = written().replace("# Agreed: ", "# ")
    assert refused(older, OTHERS, asgi_balancer_router_id=52) is None
    assert "another asgi_balancer_vrrp_password" in refused(older, OTHERS, **OTHER_PASSWORD)


def test_a_password_of_digits():
    digits = {"asgi_balancer_vrrp_password": "12345678"}
    assert refused(written(**digits), OTHERS, **digits) is None
