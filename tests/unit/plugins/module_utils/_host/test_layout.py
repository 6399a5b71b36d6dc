"""The layout of an app, and the names that it rejects."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.filter.layout import FilterModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import (
    COMPLETION,
    DISPATCHER,
    RESERVED_NAMES,
    balancer_server,
    layout,
    release_paths,
)


def test_everything_is_named_after_the_app():
    paths = layout("web-shop")

    assert paths["home"] == "/srv/web-shop"
    assert paths["slots_directory"] == "/srv/web-shop/slots"
    assert paths["live_socket"] == "/run/web-shop/live.sock"
    assert paths["service_template"] == "/etc/systemd/system/web-shop@.service"
    assert paths["slots"]["green"]["service_unit"] == "web-shop@green.service"
    assert paths["slots"]["green"]["socket"] == "/run/web-shop/green.sock"
    assert paths["live_pem"] == "/etc/asgi/web-shop/tls/live.pem"
    assert paths["balancer"]["backend"] == "asgi_web-shop"
    assert paths["acme"]["lineage"] == "asgi-web-shop"
    assert release_paths("web-shop", "r1")["python"] == "/srv/web-shop/releases/r1/.venv/bin/python"
    assert FilterModule().filters()["layout"]("web-shop") == paths
    assert FilterModule().filters()["layout"]("web-shop", "r1") == {**paths, "release": release_paths("web-shop", "r1")}


def test_two_apps_share_no_path():
    def leaves(value):
        return {leaf for item in value.values() for leaf in leaves(item)} if isinstance(value, dict) else {value}

    shared = leaves(layout("one")) & leaves(layout("two"))

    # names of slots, directories of systemd in which the files of an app have its name, and the files of the host command
    systemd = {"/etc/systemd/system", "/var/lib/systemd/timers"}
    assert shared == {"blue", "green", "trial", *systemd, DISPATCHER, COMPLETION}


@pytest.mark.parametrize("name", ["a", "hello", "web-shop", "web_shop2", "a" * 31])
def test_good_names(name):
    assert layout(name)["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "9lives",
        "../etc",
        "a/b",
        "a b",
        "a;b",
        "-a",
        "a-",
        "a--b",
        "a.b",
        "a@b",
        "ä",
        "a\n",
        "a" * 32,
        None,
        7,
        ["a"],
    ],
)
def test_names_that_are_not_safe(name):
    with pytest.raises(ValueError, match="is not a valid app name"):
        layout(name)


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_names_of_the_operating_system(name):
    with pytest.raises(ValueError, match="is not a valid app name"):
        layout(name)


@pytest.mark.parametrize("host", ["web1", "web1.example.com", "web_1-a", "2001:db8::1"])
def test_hosts_that_a_balancer_can_name(host):
    assert balancer_server(host) == host


@pytest.mark.parametrize("host", ["", "web 1", "web/1", "web;1", "web\n", "wéb", "a" * 256, None, 1])
def test_hosts_that_a_balancer_cannot_name(host):
    with pytest.raises(ValueError, match="is not a valid HAProxy server name"):
        balancer_server(host)
