"""Clashes of an app's names, ports and settings on a host."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import metrics_endpoint
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import clashes as module
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import servers

SITE = "server {{ listen {listen}; server_name {names}; }}"


def faults(wanted, **site):
    return [fault for _name, fault in module.name_faults(wanted, servers(SITE.format(**site), "x.conf"))]


@pytest.mark.parametrize(
    ("listen", "names"),
    [
        ("443 ssl", "a.test"),
        ("[::]:443 ssl", "x.test a.test"),
        ("443 ssl", "x.test\n        A.Test"),
        ("192.0.2.1:443", "a.test"),
        ("443 quic", "a.test"),
        ("443", ".a.test"),
    ],
)
def test_a_name_of_another_site(listen, names):
    expected = ["a.test on port 443 is served by x.conf already"]
    assert faults({443: ["a.test"]}, listen=listen, names=names) == expected


@pytest.mark.parametrize(
    ("wanted", "names"),
    [(["*.a.test"], "*.a.test"), (["*.a.test"], ".a.test"), (["b.test", "*.a.test"], "x.test *.A.test")],
)
def test_a_wildcard_of_another_site(wanted, names):
    assert faults({443: wanted}, listen="443", names=names) == ["*.a.test on port 443 is served by x.conf already"]


@pytest.mark.parametrize(
    ("listen", "names"),
    [
        ("8443 ssl", "a.test"),
        ("80", "a.test"),
        ("443", "b.a.test"),
        ("443", "a.test.org"),
        # nginx prefers an exact name to a wildcard
        ("443", "*.test"),
        ("443", "~^a[.]test$"),
        ("443", "_"),
    ],
)
def test_a_free_name(listen, names):
    assert faults({443: ["a.test"]}, listen=listen, names=names) == []


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a function that returns the clashes of shop's claims on a host whose /etc/nginx is in *tmp_path*."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("http { include conf.d/*.conf; }")
    monkeypatch.setattr(module, "NGINX", str(tmp_path / "nginx.conf"))
    monkeypatch.setattr(module, "SITES", tmp_path / "conf.d")
    site = str(tmp_path / "conf.d/asgi-shop.conf")
    monkeypatch.setattr(module, "layout", lambda name: {**layout(name), "nginx_site": site})

    def found(claims, main_pid=0):
        return module.clashes("shop", claims, lambda _argv: (0, f"ActiveState=active\nMainPID={main_pid}\n", ""))

    found.sites = tmp_path / "conf.d"
    return found


def test_the_own_site_and_shared_files_do_not_clash(host):
    (host.sites / "asgi-shop.conf").write_text(SITE.format(listen="443", names="a.test"))
    (host.sites / "asgi-01-default-443.conf").write_text(SITE.format(listen="443", names="_"))
    assert host({"names": {"443": ["a.test"]}}) == []
    (host.sites / "asgi-other.conf").write_text(SITE.format(listen="443", names="a.test"))
    [message] = host({"names": {"443": ["a.test"]}})
    assert "a.test on port 443 is served by" in message
    assert "asgi-other.conf already -> choose another name" in message


def test_a_second_status_page(host):
    (host.sites / "asgi-other.conf").write_text(SITE.format(listen="127.0.0.1:8090", names="_"))
    [message] = host({"names": {"443": ["a.test"], "8090": ["_"]}})
    assert message.startswith("a server without a name on port 8090 is served by ")
    assert message.endswith(" already -> choose another asgi_proxy_status_listen, or remove that site")


@pytest.fixture
def held():
    """A TCP port that this process holds."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("address", ["*", "127.0.0.1"])
def test_a_port_of_another_program(host, held, address):
    claims = {"listeners": [{"variable": "asgi_proxy_https_port", "address": address, "port": held}]}
    [message] = host(claims)
    assert f"port {held} of this host is held by" in message
    assert message.endswith(
        f"(process {os.getpid()}), not by nginx.service -> stop that program, or choose another asgi_proxy_https_port"
    )
    assert host(claims, main_pid=os.getpid()) == []


def test_a_port_on_another_address_is_free(host, held):
    listener = {"variable": "asgi_proxy_status_listen", "address": "127.0.0.2", "port": held}
    assert host({"listeners": [listener]}) == []


def test_a_udp_port_of_another_program(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        claims = {"listeners": [{"variable": "asgi_proxy_https_port", "address": "*", "port": port}]}
        assert host({**claims, "http3": False}) == []
        [message] = host({**claims, "http3": True})
    assert f"UDP port {port} of this host is held by" in message


@pytest.mark.parametrize(
    ("line", "listens"),
    [
        ("    listen 443;", True),
        ("listen 443 ssl;", True),
        ("    listen [::]:443 ssl proxy_protocol;", True),
        ("    listen 127.0.0.1:443 ssl http2 proxy_protocol;", True),
        ("    listen 4430 proxy_protocol;", False),
        ("    listen 8443 proxy_protocol;", False),
        ("    # listen 443 proxy_protocol;", False),
        ("server_name a.test; listen 443 ssl; # all in one line", True),
    ],
)
def test_listening_sites(host, line, listens):
    site = host.sites / "other.conf"
    site.write_text(f"server {{\n{line}\n}}")
    assert module.listening_sites(host.sites, 443, without=[]) == ([str(site)] if listens else [])
    assert module.listening_sites(host.sites, 443, without=[site]) == []


SHARED = "# Agreed on port 443: ipv6=true proxy_protocol=false tls_profile=intermediate\n"


@pytest.mark.parametrize(
    ("profile", "other_listens", "change_port", "count"),
    [
        ("modern", "443", False, 1),
        ("intermediate", "443", False, 0),
        ("modern", "8443", False, 0),
        ("modern", "443", True, 0),
    ],
)
def test_different_settings_of_a_port(host, profile, other_listens, change_port, count):
    (host.sites / "asgi-01-default-443.conf").write_text(SHARED)
    (host.sites / "asgi-other.conf").write_text(f"server {{\n    listen {other_listens} ssl;\n}}\n")
    agreed = {"443": {"ipv6": "true", "proxy_protocol": "false", "tls_profile": profile}}
    messages = host({"agreed": agreed, "change_port": change_port})
    assert len(messages) == count
    assert all(
        "tls_profile is intermediate and not modern" in each and "asgi_proxy_tls_profile" in each for each in messages
    )


def test_an_address_for_metrics_that_cannot_be_used(host, held, monkeypatch):
    monkeypatch.setattr(metrics_endpoint, "neighbour_at", lambda *_arguments: None)
    [message] = host({"metrics": f"127.0.0.1:{held}"})
    assert message == (
        f"another process of this host listens at 127.0.0.1:{held} -> choose another asgi_server_metrics_listen"
    )
    [message] = host({"metrics": f"192.0.2.1:{held}"})
    assert "this host cannot listen at 192.0.2.1" in message
    monkeypatch.setattr(metrics_endpoint, "neighbour_at", lambda *_arguments: "blog")
    [message] = host({"metrics": "/run/shop.sock"})
    assert message.startswith("the metrics of the app blog on this host are served at /run/shop.sock -> ")


def test_the_group_of_the_metrics_must_exist(host):
    assert host({"metrics_group": "root"}) == []
    [message] = host({"metrics_group": "no-such-group"})
    assert message.startswith(
        "this host has no group no-such-group -> create it, or choose another asgi_server_metrics_g"
    )
