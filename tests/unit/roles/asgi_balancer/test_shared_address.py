"""The apps of a balancer must agree on keepalived's settings. The tests use the role's tasks, variables and template."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_core import load_templates, trust_as_template
from rendering import environment

ROLE = Path(__file__).resolve().parents[4] / "roles/asgi_balancer"
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
    return load_templates(ROLE / path)


def templar(**variables):
    return Templar(DataLoader(), variables={**load("vars/main.yml"), **APP, **variables})


def holds(host, condition):
    return host.template(trust_as_template(f"{{{{ {condition} }}}}"))


def written(**changes):
    """Return the keepalived.conf of an app with these *changes*."""
    place = environment("asgi_balancer")
    place.use({**APP, **changes})
    return place.file("etc/keepalived/keepalived.conf.j2")


def failure(keepalived_conf, others=(), **changes):
    """Return the failure message, or None, for an app with these *changes* on a balancer with *keepalived_conf* and the apps *others*."""
    tasks = {task["name"].removeprefix("shared_address | "): task for task in load("tasks/shared_address.yml")}
    find = tasks["Find the other apps of the balancer"]
    compare = tasks["Fail if the apps of the balancer disagree"]["ansible.builtin.assert"]

    file = {} if keepalived_conf is None else {"content": b64encode(keepalived_conf.encode()).decode()}
    place = environment("asgi_balancer")
    place.use({**APP, "__asgi_balancer_keepalived_file": file, **changes})
    host = templar(
        **changes,
        __asgi_balancer_disagreements=place.variables.get("__asgi_balancer_disagreements", None),
        __asgi_balancer_other_apps={"matched": len(others), "files": list(others)},
    )
    if not holds(host, find["when"]) or holds(host, compare["that"]):
        return None
    return host.template(compare["fail_msg"])


@pytest.mark.parametrize("current", [None, written(), f"{written()}# Not loaded yet.\n"])
def test_the_first_app_and_an_app_with_the_same_settings_are_accepted(current):
    assert failure(current, OTHERS) is None


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        (OTHER_PASSWORD, ["keepalived has another asgi_balancer_vrrp_password than this app; nothing has"]),
        ({"asgi_balancer_router_id": 52}, ["router_id=51", "router_id=52", "asgi_balancer_peers; nothing"]),
        (
            {**OTHER_PASSWORD, "asgi_balancer_interface": "eth1"},
            ["interface=eth0", "interface=eth1", "asgi_balancer_peers, and another asgi_balancer_vrrp_password than"],
        ),
    ],
)
def test_other_settings_fail_beside_other_apps(changes, texts):
    message = failure(written(), OTHERS, **changes)
    assert [text for text in [*texts, "asgi-shop.cfg", "asgi_balancer_change_port"] if text not in message] == []
    # the change is accepted for a single app, and with asgi_balancer_change_port
    assert failure(written(), **changes) is None
    assert failure(written(), OTHERS, **changes, asgi_balancer_change_port=True) is None


def test_the_message_does_not_contain_passwords():
    message = failure(written(), OTHERS, **OTHER_PASSWORD, asgi_balancer_router_id=52)
    assert "an0ther" not in message
    assert "s3cret" not in message


def test_only_passwords_are_compared_with_a_file_without_recorded_settings():
    older = written().replace("# Agreed: ", "# ")
    assert failure(older, OTHERS, asgi_balancer_router_id=52) is None
    assert "another asgi_balancer_vrrp_password" in failure(older, OTHERS, **OTHER_PASSWORD)


def test_a_password_of_digits():
    digits = {"asgi_balancer_vrrp_password": "12345678"}
    assert failure(written(**digits), OTHERS, **digits) is None
