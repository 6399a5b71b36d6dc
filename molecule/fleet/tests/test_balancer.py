"""The balancer from the outside, and changes of its files without lost requests."""

from __future__ import annotations

import json
import re
import ssl
import time
from pathlib import Path

import probe
import pytest
from fleet.hosts import HOSTS, assert_nothing_lost
from traffic.load import Shape
from traffic.playbooks import wait_for

RELOADS = 3
NGINX_RELOADS = 10
UNINSTALL_OTHER = {"asgi_name": "other", "asgi_uninstall": "other", "asgi_balancer_uninstall_certificates": True}
# a high request rate, so that connections become idle and are reused all the time
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
    """Return the lines of a request in a log, which may be written with a delay of two seconds."""
    records = []

    def read():
        lines = machine.sh(f"{command} | grep -F {request_id} || true").splitlines()
        records[:] = [json.loads(line) for line in lines]
        return records

    wait_for(read, f"{request_id} in a log", seconds=15)
    return records


@pytest.mark.smoke
def test_request_id_and_client_address_in_all_logs(fleet, balancer, ask):
    agent = 'Mozilla/5.0 (KHTML, like Gecko) a "quoted" name'
    spoofed = {"X-Request-ID": "spoofed-by-client", "X-Forwarded-For": "192.0.2.66", "User-Agent": agent}
    answer = ask("/work?id=traced", headers=spoofed)

    assert (answer.status, answer.text.split()[0]) == (200, "traced")
    [request_id] = answer.headers.get_all("X-Request-ID")
    assert request_id != "spoofed-by-client"
    # Browsers must not insist on HTTPS with a self-signed certificate.
    assert "Strict-Transport-Security" not in answer.headers

    [haproxy] = logged(balancer.site.machine, "journalctl --unit=haproxy.service --output=cat --lines=400", request_id)
    assert [haproxy[name] for name in ("status", "backend", "method", "uri")] == [200, "asgi_fleet", "GET", "/work"]
    assert haproxy["user_agent"] == agent
    [nginx] = logged(fleet[haproxy["server"]].site.machine, "tail -n 400 /var/log/nginx/fleet.access.log", request_id)
    # nginx trusts the address from the balancer, and neither trusts the client.
    assert nginx["client"] == haproxy["client"] != "192.0.2.66"
    assert nginx["scheme"] == "https"


def test_haproxy_accepts_the_configured_number_of_clients(balancer):
    site = balancer.site.machine.sh("cat /etc/haproxy/asgi/asgi-fleet.cfg")
    clients = int(re.search("(?m)^# Clients: ([0-9]+)$", site)[1])
    info = dict(re.findall("(?m)^([A-Za-z_-]+): ([0-9]+)$", balancer.run("show info")))

    # The limit of open files of the container may be lower.
    files = int(balancer.site.machine.sh("awk '/Max open files/ { print $5 }' /proc/1/limits"))
    assert int(info["Maxconn"]) == min(clients, (files - 1024) // 2)
    assert int(info["Ulimit-n"]) > 2 * int(info["Maxconn"])


@pytest.mark.smoke
def test_plain_http_is_redirected(ask):
    answer = ask("/a?b=c", inside=80, tls=False, method="POST", body=b"x")
    assert (answer.status, answer.headers["Location"]) == (308, "https://fleet.test/a?b=c")
    with pytest.raises(OSError, match=r"closed connection|reset"):
        ask(name="other.test", inside=80, tls=False)


def test_unknown_server_name_is_rejected(ask):
    with pytest.raises(ssl.SSLError):
        ask(name="other.test")
    assert ask(headers={"Host": "other.test"}).status == 421


# The scenario edge uses this table for nginx.
TABLE = json.loads((Path(__file__).parents[2] / "edge/request_hosts.json").read_text())


@pytest.mark.parametrize("tls", [True, False])
def test_other_hosts_are_rejected(balancer, tls):
    port = balancer.site.machine.port(443 if tls else 80)
    misdirected = ["fleet.test:1", "fleet.test:80", "fleet.test:0443", "fleet.test:8443"] if tls else []
    for host in [*(host.replace("features.test", "fleet.test") for host in TABLE["refused"]), *misdirected]:
        with probe.open_socket("fleet.test", port, tls=tls) as connection:
            connection.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(4096)
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421"), host
        assert b"ocation" not in answer, host
    for host in ("fleet.test", "FLEET.test", "fleet.test:443") if tls else ():
        assert probe.ask("fleet.test", port, "/health", headers={"Host": host}).status == 200


def test_wildcard_name_redirects_to_itself_only(fleet, playbook):
    """Another app on lb1 has a wildcard name, whose suffix also matches "evil.test/x.wild.test"."""
    machine = fleet.balancers[0].site.machine
    other = {"asgi_name": "other", "asgi_balancer_servers": [{"name": "web", "address": "10.213.77.21", "port": 443}]}
    _status, output = playbook("balancer", "--limit", "lb1", **other, asgi_balancer_server_names=["*.wild.test"])
    try:
        # The servers do not serve this name, so the last play reports a failure of the balancer.
        assert "does not pass clients of" in " ".join(output.split()), output
        answer = probe.ask("a.wild.test", machine.port(80), "/p", tls=False)
        assert (answer.status, answer.headers["Location"]) == (308, "https://a.wild.test/p")
        for host in (host for host in TABLE["refused"] if host.endswith("wild.test")):
            with probe.open_socket("a.wild.test", machine.port(80), tls=False) as connection:
                connection.sendall(f"GET /p HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert connection.recv(4096).startswith(b"HTTP/1.1 400"), host
    finally:
        playbook.succeeds("balancer_uninstall", "--limit", "lb1", **UNINSTALL_OTHER)


def test_http2_is_offered(balancer):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        probe.open_socket("fleet.test", balancer.site.machine.port(443), tls=False) as plain,
        context.wrap_socket(plain, server_hostname="fleet.test") as encrypted,
    ):
        assert (encrypted.selected_alpn_protocol(), encrypted.version()) == ("h2", "TLSv1.3")


@pytest.mark.smoke
def test_websocket_through_the_balancer(balancer):
    text = "through two proxies " * 1000
    echo = probe.websocket_echo("fleet.test", balancer.site.machine.port(443), "/ws", text)
    assert echo.startswith(text)


def test_incomplete_request_times_out(balancer):
    with probe.open_socket("fleet.test", balancer.site.machine.port(443)) as encrypted:
        encrypted.settimeout(20)
        encrypted.sendall(b"GET /health HTTP/1.1\r\nHost: fleet.test\r\n")
        began = time.monotonic()
        assert encrypted.recv(4096).startswith(b"HTTP/1.1 408")
    assert 5 < time.monotonic() - began < 15


@pytest.mark.smoke
def test_reloads_lose_no_request_and_keep_a_drain(fleet, under_traffic):
    balancer = fleet.balancers[0]
    balancer.run("set server asgi_fleet/app2 state drain")

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

    figures = under_traffic(reload)

    for backend in ("asgi_fleet", "asgi_fleet.fresh"):
        assert balancer.statuses(backend) == {**dict.fromkeys(HOSTS, "UP"), "app2": "DRAIN"}
    assert fleet["app2"].site.executed().total() == 0
    assert_nothing_lost(figures)
    balancer.run("set server asgi_fleet/app2 state ready")
    wait_for(lambda: set(balancer.statuses().values()) == {"UP"}, "the drained server")


def test_reloads_of_nginx_on_the_hosts_lose_no_request(fleet, under_traffic):
    """nginx closes idle connections, and a request that is being sent over one of them must not be lost."""

    def reload():
        for _time in range(NGINX_RELOADS):
            for host in fleet.hosts:
                host.site.machine.sh("systemctl reload nginx")

    figures = under_traffic(reload, shape=BUSY)

    assert_nothing_lost(figures)


@pytest.mark.long
def test_second_app_is_added_and_removed(fleet, playbook, under_traffic):
    """The second app has the same servers, whose nginx does not serve its name, so that none of them is healthy."""
    machine = fleet.balancers[0].site.machine
    servers = [{"name": "web", "address": "10.213.77.21", "port": 443}]
    other = {"asgi_name": "other", "asgi_balancer_servers": servers}
    options = ("--limit", "lb1")
    runs, answers = [], []

    def add_and_remove():
        runs.append(
            playbook(
                "balancer", *options, **other, asgi_balancer_server_names=["other.test"], asgi_balancer_sticky=True
            )
        )
        runs.append(playbook("balancer", *options, **other, asgi_balancer_server_names=["fleet.test"]))
        answers.append(probe.ask("other.test", machine.port(443)))
        runs.append(playbook("balancer_uninstall", *options, **UNINSTALL_OTHER))

    figures = under_traffic(add_and_remove)

    (added, output), (conflict, conflict_output), (removed, removal_output) = runs
    assert added != 0, output
    assert "lb1 does not pass clients of other.test on to the app" in " ".join(output.split())
    assert answers[0].status == 503, "HAProxy must answer itself without a healthy server"
    assert conflict != 0
    assert "fleet.test on port 443 (app fleet)" in conflict_output
    assert removed == 0, removal_output
    with pytest.raises(ssl.SSLError):
        probe.ask("other.test", machine.port(443))
    assert_nothing_lost(figures)

    output = playbook.succeeds("balancer", *options)

    assert re.search(r"^lb1 .*changed=0 ", output, re.MULTILINE), output


def test_certificate_is_loaded_despite_a_newer_timestamp(fleet, playbook):
    """HAProxy serves the certificate in the file even if the timestamp of the last load is in the future, as after a clock change."""
    machine = fleet.balancers[0].site.machine
    pem, digest = "/etc/asgi/fleet/tls/live.pem", "openssl x509 -noout -fingerprint -sha256"
    served = f"openssl s_client -connect 127.0.0.1:443 -servername fleet.test </dev/null 2>/dev/null | {digest}"
    before = machine.sh(served)
    names = machine.sh(f"openssl x509 -in {pem} -noout -ext subjectAltName | grep DNS: | tr -d ' '")
    machine.sh(
        f"cp -p {pem} /root/former.pem; openssl req -x509 -newkey rsa:2048 -nodes -days 300 -subj /CN=fleet.test "
        f"-addext subjectAltName={names} -keyout /root/key -out /root/crt 2>/dev/null; cat /root/crt /root/key >{pem}; "
        "touch -d 2100-01-01 /run/asgi-haproxy.loaded"
    )
    try:
        playbook.succeeds("balancer", "--limit", "lb1")
        assert machine.sh(served) == machine.sh(f"{digest} -in {pem}") != before
        _status, output = playbook("balancer", "--limit", "lb1")
        assert re.search(r"^lb1 .*changed=0 ", output, re.MULTILINE), output
    finally:
        machine.sh(f"mv /root/former.pem {pem}; rm /root/key /root/crt; systemctl reload haproxy")


def test_invalid_variables_fail_on_the_controller(playbook):
    output = playbook.fails("balancer", asgi_balancer_tls_provider="acme", asgi_balancer_health_url="up")
    assert "2 problems in the variables of lb1" in output
    assert "asgi_balancer_acme_agree_tos is false" in output
    assert "changed=1" not in output


def test_unknown_interface_fails_before_any_balancer_changes(fleet, playbook):
    """Only the second balancer is misconfigured. The first one does not change either."""
    output = playbook.fails(
        "balancer", asgi_balancer_interface="{{ {'lb2': 'eth7'}[inventory_hostname] | default('eth0') }}"
    )

    assert (
        "asgi_balancer_interface is 'eth7', which is not an interface of this host -> use one of: eth0 (10.213.77.12/24"
        in output
    )
    assert "changed=1" not in output


DROP_IN = "/etc/systemd/system/keepalived.service.d/without.conf"


def test_virtual_address_without_holder_fails_with_the_cause(fleet, playbook):
    machines = [balancer.site.machine for balancer in fleet.balancers]
    text = r"[Service]\nCapabilityBoundingSet=~CAP_NET_ADMIN\n"
    for machine in machines:
        machine.sh(f"mkdir -p $(dirname {DROP_IN}); printf '{text}' > {DROP_IN}")
        machine.sh("systemctl daemon-reload && systemctl restart keepalived")
    try:
        status, output = playbook("balancer")
    finally:
        for machine in machines:
            machine.sh(f"rm -r $(dirname {DROP_IN}) && systemctl daemon-reload && systemctl restart keepalived")

    assert status != 0, output
    assert "no balancer holds 10.213.77.10, so no client reaches it" in " ".join(output.split())
    assert "Operation not permitted" in output
    wait_for(
        lambda: [balancer.holds_address for balancer in fleet.balancers].count(True) == 1, "one holder of the address"
    )
    playbook.succeeds("balancer")


def test_virtual_address_with_two_holders_fails(fleet, playbook):
    """The packets of the balancers to each other go to an unused link-layer address."""
    machines = [balancer.site.machine for balancer in fleet.balancers]
    others = ["10.213.77.12", "10.213.77.11"]
    for machine, other in zip(machines, others, strict=True):
        machine.sh(f"ip neigh replace {other} lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
    try:
        wait_for(lambda: all(balancer.holds_address for balancer in fleet.balancers), "two holders of the address")
        status, output = playbook("balancer")
    finally:
        for machine, other in zip(machines, others, strict=True):
            machine.sh(f"ip neigh del {other} dev eth0")

    assert status != 0, output
    assert "lb1 and lb2 hold 10.213.77.10 at the same time" in " ".join(output.split())
    wait_for(
        lambda: [balancer.holds_address for balancer in fleet.balancers].count(True) == 1, "one holder of the address"
    )
