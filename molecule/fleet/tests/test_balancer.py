"""What clients get from a balancer, and that nothing is lost when its files change."""

from __future__ import annotations

import json
import re
import ssl
import time

import probe
import pytest
from fleet.hosts import HOSTS, assert_nothing_lost
from traffic.load import Shape
from traffic.playbooks import wait_for

RELOADS = 3
NGINX_RELOADS = 10
# so many, and so often, that connections become idle all the time and are wanted again at once
BUSY = Shape(clients=12, think=0.01, slow=0, websockets=0, streams=0)


@pytest.fixture(params=[0, 1], ids=["haproxy-2.6", "haproxy-3.0"])
def balancer(fleet, request):
    return fleet.balancers[request.param]


@pytest.fixture
def ask(balancer):
    def ask(path="/health", name="fleet.test", inside=443, **options):
        return probe.ask(name, balancer.site.machine.port(inside), path, **options)

    return ask


def logged(machine, command, request_id):
    """Return what the lines of a log say of a request, which may be late by a second or two."""
    found = []

    def look():
        lines = machine.sh(f"{command} | grep -F {request_id} || true").splitlines()
        found[:] = [json.loads(line) for line in lines]
        return found

    wait_for(look, f"{request_id} in a log", seconds=15)
    return found


def test_a_request_and_its_traces(fleet, balancer, ask):
    agent = 'Mozilla/5.0 (KHTML, like Gecko) a "quoted" name'
    spoofed = {"X-Request-ID": "spoofed-by-client", "X-Forwarded-For": "192.0.2.66", "User-Agent": agent}
    answer = ask("/work?id=traced", headers=spoofed)

    assert (answer.status, answer.text.split()[0]) == (200, "traced")
    [request_id] = answer.headers.get_all("X-Request-ID")
    assert request_id != "spoofed-by-client"
    # browsers must not be held to a certificate that signs itself
    assert "Strict-Transport-Security" not in answer.headers

    [seen] = logged(balancer.site.machine, "journalctl --unit=haproxy.service --output=cat --lines=400", request_id)
    assert (seen["status"], seen["backend"], seen["method"], seen["uri"]) == (
        200,
        "asgi_fleet",
        "GET",
        "/work",
    )
    assert seen["user_agent"] == agent
    [nginx] = logged(fleet[seen["server"]].site.machine, "tail -n 400 /var/log/nginx/fleet.access.log", request_id)
    # nginx believes the balancer, and so knows the client; neither believes the client
    assert nginx["client"] == seen["client"] != "192.0.2.66"
    assert nginx["scheme"] == "https"


def test_plain_http_is_redirected(ask):
    answer = ask("/a?b=c", inside=80, tls=False, method="POST", body=b"x")
    assert (answer.status, answer.headers["Location"]) == (308, "https://fleet.test/a?b=c")
    with pytest.raises(OSError, match=r"closed connection|reset"):
        ask(name="other.test", inside=80, tls=False)


def test_names_that_nobody_serves(ask):
    with pytest.raises(ssl.SSLError):
        ask(name="other.test")
    assert ask(headers={"Host": "other.test"}).status == 421


def test_http2_is_offered(balancer):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        probe.open_socket("fleet.test", balancer.site.machine.port(443), tls=False) as plain,
        context.wrap_socket(plain, server_hostname="fleet.test") as encrypted,
    ):
        assert (encrypted.selected_alpn_protocol(), encrypted.version()) == ("h2", "TLSv1.3")


def test_a_websocket_comes_through(balancer):
    text = "through two proxies " * 1000
    echo = probe.websocket_echo("fleet.test", balancer.site.machine.port(443), "/ws", text)
    assert echo.startswith(text)


def test_who_says_half_a_request_is_let_go_of(balancer):
    with probe.open_socket("fleet.test", balancer.site.machine.port(443)) as encrypted:
        encrypted.settimeout(20)
        encrypted.sendall(b"GET /health HTTP/1.1\r\nHost: fleet.test\r\n")
        began = time.monotonic()
        assert encrypted.recv(4096).startswith(b"HTTP/1.1 408")
    assert 5 < time.monotonic() - began < 15


def test_reloads_lose_nothing_and_undo_no_drain(fleet, under_traffic):
    balancer = fleet.balancers[0]
    balancer.tell("set server asgi_fleet/app2 state drain")

    def reload():
        for _time in range(RELOADS):
            before = balancer.site.machine.sh("pgrep --parent $(cat /run/haproxy.pid)").split()
            balancer.site.machine.sh("systemctl reload haproxy")
            wait_for(
                lambda before=before: (
                    set(balancer.site.machine.sh("pgrep --parent $(cat /run/haproxy.pid)").split()) - set(before)
                ),
                "a new worker",
            )
            time.sleep(0.5)

    found = under_traffic(reload)

    for backend in ("asgi_fleet", "asgi_fleet.fresh"):
        assert balancer.statuses(backend) == {**dict.fromkeys(HOSTS, "UP"), "app2": "DRAIN"}
    assert fleet["app2"].site.executed().total() == 0
    assert_nothing_lost(found)
    balancer.tell("set server asgi_fleet/app2 state ready")
    wait_for(lambda: set(balancer.statuses().values()) == {"UP"}, "the drained server")


def test_reloads_of_nginx_on_the_hosts_lose_nothing(fleet, under_traffic):
    """It closes the connections that are idle, and what is just sent over one of them must not be lost: a POST above all."""

    def reload():
        for _time in range(NGINX_RELOADS):
            for host in fleet.hosts:
                host.site.machine.sh("systemctl reload nginx")

    found = under_traffic(reload, shape=BUSY)

    assert_nothing_lost(found)


@pytest.mark.long
def test_a_second_app_comes_and_goes_beside_the_first(fleet, playbook, under_traffic):
    """It has the same hosts as servers, whose nginx does not know its name and ends the handshake: nobody is well."""
    machine = fleet.balancers[0].site.machine
    servers = [{"name": "web", "address": "10.213.77.21", "port": 443}]
    other = {"asgi_name": "other", "asgi_balancer_servers": servers}
    options = ("--limit", "lb1")
    ran, seen = [], []

    def come_and_go():
        ran.append(
            playbook(
                "balancer", *options, **other, asgi_balancer_server_names=["other.test"], asgi_balancer_sticky=True
            )
        )
        ran.append(playbook("balancer", *options, **other, asgi_balancer_server_names=["fleet.test"]))
        seen.append(probe.ask("other.test", machine.port(443)))
        ran.append(playbook("balancer_uninstall", *options, asgi_name="other", asgi_uninstall="other"))

    found = under_traffic(come_and_go)

    (came, said), (refused, why), (went, also_said) = ran
    assert came == 0, said
    assert seen[0].status == 503, "HAProxy's own answer for an app without a server that is well"
    assert refused != 0
    assert "fleet.test on port 443 (app fleet)" in why
    assert went == 0, also_said
    with pytest.raises(ssl.SSLError):
        probe.ask("other.test", machine.port(443))
    assert_nothing_lost(found)

    status, said = playbook("balancer", *options)

    assert status == 0, said
    assert re.search(r"^lb1 .*changed=0 ", said, re.MULTILINE), said


def test_bad_values_are_refused_on_the_controller(playbook):
    status, said = playbook("balancer", asgi_balancer_tls_provider="acme", asgi_balancer_health_url="up")
    assert status != 0
    assert "2 problems in the variables of lb1" in said
    assert "asgi_balancer_acme_agree_tos is false" in said
    assert "changed=1" not in said
