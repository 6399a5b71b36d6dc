"""Two balancers, each with a certificate of its own for names of which each one leads to another of them."""

from __future__ import annotations

import http.client
import re
import threading

import pytest
from visitors import Visitors

NAMES = {"plaza.test", "www.plaza.test"}
CHALLENGE = "/.well-known/acme-challenge/token"


@pytest.fixture(scope="module")
def balance(play):
    def run(*options, **variables):
        return play("asgi.deploy.balancer", *options, **variables)

    return run


def test_each_has_a_certificate_of_the_server(plaza):
    assert "Pebble" in plaza.issuer()
    assert plaza.names() == NAMES
    assert plaza.ask("/health").status == 200


def test_it_is_not_the_same(plazas):
    assert len({plaza.fingerprint() for plaza in plazas}) == len(plazas)


def test_nobody_but_the_acme_server_sees_a_difference(plaza):
    assert plaza.ask("/", tls=False).status == 308
    # certbot does not run, on neither of them
    assert plaza.ask(CHALLENGE, tls=False).status == 503
    with pytest.raises((http.client.HTTPException, OSError)):
        plaza.ask(CHALLENGE, name="other.test", tls=False)
    assert plaza.host.check_output("ss --listening --tcp --numeric '( sport = :8402 )' --no-header") == ""


# as certbot's: what it was not told of it does not answer at all
STAND_IN = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == sys.argv[1]:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.rpartition("/")[2].encode())

http.server.HTTPServer(("", 8402), Handler).serve_forever()
"""


@pytest.fixture
def asking(plazas):
    """As if certbot asked on all of them at the same time, each for a proof that only it has; what these are."""
    for plaza in plazas:
        path = CHALLENGE.replace("token", plaza.machine)
        plaza.host.check_output("systemd-run --unit=asking python3 -c %s %s", STAND_IN, path)
        plaza.host.check_output("until ss --listening --tcp --numeric | grep :8402; do sleep 0.1; done")
    yield [plaza.machine for plaza in plazas]
    for plaza in plazas:
        plaza.host.check_output("systemctl stop asking.service")


def test_wherever_the_acme_server_comes_it_finds_the_one_that_asks(plazas, asking):
    # more often than there are servers to begin with
    answers = [
        plaza.ask(CHALLENGE.replace("token", proof), tls=False).text
        for plaza in plazas
        for proof in asking
        for _time in range(4)
    ]
    assert answers == [proof for _plaza in plazas for proof in asking for _time in range(4)]
    assert [plaza.ask(CHALLENGE, tls=False).status for plaza in plazas] == [502, 502]


def test_the_key_can_be_read_by_root_alone(plaza):
    assert plaza.host.check_output("stat --format='%a %U' /etc/asgi/plaza/tls/live.pem") == "600 root"


def test_renewals_at_the_same_time_turn_nobody_away(plazas, balance, pebble):
    before = {plaza: plaza.fingerprint() for plaza in plazas}
    masters = {plaza: plaza.host.check_output("systemctl show --value -p MainPID haproxy") for plaza in plazas}
    for plaza in plazas:
        plaza.make_due()
    # the same names are asked for by both, and half of what the ACME server wants to know comes to the other one
    renewals = [threading.Thread(target=plaza.host.run, args=["systemctl start certbot.service"]) for plaza in plazas]

    with Visitors(plazas[0]) as first, Visitors(plazas[1]) as second:
        for renewal in renewals:
            renewal.start()
        for renewal in renewals:
            renewal.join()

    for plaza, visitors in zip(plazas, (first, second), strict=True):
        journal = plaza.host.check_output("journalctl --unit=certbot.service --output=cat")
        assert plaza.fingerprint() != before[plaza], journal
        assert "Pebble" in plaza.issuer()
        answers = visitors.answers
        print(f"\n{plaza.machine}: {len(answers)} visits during the renewal, {len(visitors.refused)} refused")
        assert visitors.refused == []
        assert set(answers) == {200}
        assert len(answers) > 20
        assert plaza.host.check_output("systemctl show --value -p MainPID haproxy") == masters[plaza]
        plaza.make_due(False)

    # HAProxy has loaded what the hook swapped in, and the role knows it
    requests = pebble.requests()
    status, said = balance()
    assert status == 0, said
    assert re.findall(r"changed=(\d+)", said) == ["0"] * 2, said
    assert pebble.requests() == requests


def test_a_server_that_gives_none_leaves_what_works(plazas, balance, pebble):
    before = {plaza: plaza.fingerprint() for plaza in plazas}
    pebble.close()
    try:
        status, said = balance(asgi_balancer_server_names=["plaza.test"])
    finally:
        pebble.open()
    assert status != 0
    assert "gave no certificate for plaza.test" in said
    assert re.search(r"HAProxy goes on serving the certificate of \S.*Pebble.* that is valid until 20\d\d", said), said
    assert {plaza: plaza.fingerprint() for plaza in plazas} == before

    status, said = balance()
    assert status == 0, said
    assert {plaza: plaza.fingerprint() for plaza in plazas} == before


def test_a_fault_elsewhere_in_its_files_is_told_and_costs_nothing(plaza):
    before, hook = plaza.fingerprint(), "RENEWED_LINEAGE=%s /usr/bin/python3 -I /etc/asgi/plaza/acme_deploy.py haproxy"
    lineage, broken = "/etc/letsencrypt/live/asgi-plaza", "/etc/haproxy/asgi/asgi-z.cfg"
    plaza.host.check_output("echo nonsense >%s", broken)
    refused = plaza.host.run(hook, lineage)
    plaza.host.check_output("rm %s", broken)
    assert refused.rc != 0
    assert "HAProxy refuses its configuration and serves the former certificate until that is mended" in refused.stderr
    assert "nonsense" in refused.stderr
    assert "NOTICE" not in refused.stderr
    plaza.host.check_output(hook, lineage)
    assert plaza.fingerprint() == before
    assert plaza.ask("/health").status == 200


def test_without_a_redirect_only_the_acme_server_is_answered(plazas, balance):
    status, said = balance(asgi_balancer_redirect=False)
    assert status == 0, said
    for plaza in plazas:
        with pytest.raises((http.client.HTTPException, OSError)):
            plaza.ask("/", tls=False)
        assert plaza.ask(CHALLENGE, tls=False).status == 503
    status, said = balance()
    assert status == 0, said
    assert [plaza.ask("/", tls=False).status for plaza in plazas] == [308, 308]


def test_from_one_provider_to_another_and_back(plazas, balance, pebble):
    before, issued = {plaza: plaza.fingerprint() for plaza in plazas}, pebble.issued()

    status, said = balance(asgi_balancer_tls_provider="selfsigned")
    assert status == 0, said
    assert [plaza.issuer() for plaza in plazas] == ["CN=plaza.test"] * 2
    # nobody renews it, so nothing replaces it
    for plaza in plazas:
        plaza.make_due()
        plaza.host.check_output("systemctl start certbot.service")
        plaza.make_due(False)
    assert [plaza.issuer() for plaza in plazas] == ["CN=plaza.test"] * 2
    # as for any other path
    assert [plaza.ask(CHALLENGE, tls=False).status for plaza in plazas] == [308, 308]

    status, said = balance("--check")
    assert status == 0, said
    assert re.findall(r"changed=(\d+)", said).count("0") == 0, said

    status, said = balance()
    assert status == 0, said
    # what certbot had was still good
    assert {plaza: plaza.fingerprint() for plaza in plazas} == before
    assert pebble.issued() == issued


def test_uninstall_ends_the_renewal(plazas, play):
    gone = {"asgi_uninstall": "plaza", "asgi_balancer_uninstall_certificates": True}
    status, said = play("asgi.deploy.balancer_uninstall", **gone)
    assert status == 0, said
    for plaza in plazas:
        assert plaza.host.run("ls -d /etc/asgi/plaza /etc/letsencrypt/*/asgi-plaza*").stdout == ""
    status, said = play("asgi.deploy.balancer_uninstall", **gone)
    assert status == 0, said
    assert re.findall(r"changed=(\d+)", said) == ["0"] * 2, said
