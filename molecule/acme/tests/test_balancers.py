"""Two balancers, each with its own certificate for two names, of which each resolves to another balancer."""

from __future__ import annotations

import http.client
import re
import threading

import pytest

NAMES = {"plaza.test", "www.plaza.test"}
CHALLENGE = "/.well-known/acme-challenge/token"


def test_each_balancer_has_a_certificate_of_the_acme_server(plaza):
    assert "Pebble" in plaza.issuer()
    assert plaza.names() == NAMES
    assert plaza.ask("/health").status == 200


def test_certificates_of_the_balancers_differ(plazas):
    assert len({plaza.fingerprint() for plaza in plazas}) == len(plazas)


def test_only_challenges_bypass_the_redirect(plaza):
    assert plaza.ask("/", tls=False).status == 308
    # certbot runs on neither of them.
    assert plaza.ask(CHALLENGE, tls=False).status == 503
    with pytest.raises((http.client.HTTPException, OSError)):
        plaza.ask(CHALLENGE, name="other.test", tls=False)
    assert plaza.host.check_output("ss --listening --tcp --numeric '( sport = :8402 )' --no-header") == ""


# An imitation of certbot's server, which answers only its own challenge.
CHALLENGE_SERVER = """
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
def challenges(plazas):
    """Run a challenge server on all balancers, each with its own token, and return the tokens."""
    for plaza in plazas:
        path = CHALLENGE.replace("token", plaza.machine)
        plaza.host.check_output("systemd-run --unit=challenge python3 -c %s %s", CHALLENGE_SERVER, path)
        plaza.host.check_output("until ss --listening --tcp --numeric | grep :8402; do sleep 0.1; done")
    yield [plaza.machine for plaza in plazas]
    for plaza in plazas:
        plaza.host.check_output("systemctl stop challenge.service")


def test_every_balancer_forwards_challenges_to_the_right_one(plazas, challenges):
    # more requests than servers
    answers = [
        plaza.ask(CHALLENGE.replace("token", proof), tls=False).text
        for plaza in plazas
        for proof in challenges
        for _time in range(4)
    ]
    assert answers == [proof for _plaza in plazas for proof in challenges for _time in range(4)]
    assert [plaza.ask(CHALLENGE, tls=False).status for plaza in plazas] == [502, 502]


def test_only_root_can_read_the_key(plaza):
    assert plaza.host.check_output("stat --format='%a %U' /etc/asgi/plaza/tls/live.pem") == "600 root"


def test_concurrent_renewals_refuse_no_connection(plazas, playbook, pebble):
    before = {plaza: plaza.fingerprint() for plaza in plazas}
    masters = {plaza: plaza.host.check_output("systemctl show --value -p MainPID haproxy") for plaza in plazas}
    for plaza in plazas:
        plaza.make_due()
    # Both request the same names, and half of the challenges arrive at the other balancer.
    renewals = [threading.Thread(target=plaza.host.run, args=["systemctl start certbot.service"]) for plaza in plazas]

    with plazas[0].visited() as first, plazas[1].visited() as second:
        for renewal in renewals:
            renewal.start()
        for renewal in renewals:
            renewal.join()

    for plaza, visitors in zip(plazas, (first, second), strict=True):
        journal = plaza.host.check_output("journalctl --unit=certbot.service --output=cat")
        assert plaza.fingerprint() != before[plaza], journal
        assert "Pebble" in plaza.issuer()
        answers = visitors.statuses
        print(f"\n{plaza.machine}: {len(answers)} visits during the renewal, {len(visitors.errors)} refused")
        assert visitors.errors == []
        assert set(answers) == {200}
        assert len(answers) > 20
        assert plaza.host.check_output("systemctl show --value -p MainPID haproxy") == masters[plaza]
        plaza.make_due(False)

    # The role detects that HAProxy has loaded the new certificate.
    requests = pebble.requests()
    output = playbook.succeeds("balancer")
    assert re.findall(r"changed=(\d+)", output) == ["0"] * 2, output
    assert pebble.requests() == requests


def test_failed_issue_keeps_the_certificate(plazas, playbook, pebble):
    before = {plaza: plaza.fingerprint() for plaza in plazas}
    pebble.close()
    try:
        status, output = playbook("balancer", asgi_balancer_server_names=["plaza.test"])
    finally:
        pebble.open()
    assert status != 0
    assert "issued no certificate for plaza.test" in output
    assert re.search(r"HAProxy still serves the certificate of \S.*Pebble.*, valid until 20\d\d", output), output
    assert {plaza: plaza.fingerprint() for plaza in plazas} == before

    playbook.succeeds("balancer")
    assert {plaza: plaza.fingerprint() for plaza in plazas} == before


def test_invalid_foreign_configuration_keeps_the_certificate(plaza):
    before, hook = plaza.fingerprint(), "RENEWED_LINEAGE=%s /usr/bin/python3 -I /etc/asgi/plaza/acme_deploy.py haproxy"
    lineage, broken = "/etc/letsencrypt/live/asgi-plaza", "/etc/haproxy/asgi/asgi-z.cfg"
    plaza.host.check_output("echo nonsense >%s", broken)
    failed = plaza.host.run(hook, lineage)
    plaza.host.check_output("rm %s", broken)
    assert failed.rc != 0
    assert (
        "HAProxy rejects its configuration and serves the previous certificate until the configuration is fixed"
        in failed.stderr
    )
    assert "nonsense" in failed.stderr
    assert "NOTICE" not in failed.stderr
    plaza.host.check_output(hook, lineage)
    assert plaza.fingerprint() == before
    assert plaza.ask("/health").status == 200


def test_without_redirect_only_challenges_are_answered(plazas, playbook):
    playbook.succeeds("balancer", asgi_balancer_redirect=False)
    for plaza in plazas:
        with pytest.raises((http.client.HTTPException, OSError)):
            plaza.ask("/", tls=False)
        assert plaza.ask(CHALLENGE, tls=False).status == 503
    playbook.succeeds("balancer")
    assert [plaza.ask("/", tls=False).status for plaza in plazas] == [308, 308]


def test_change_of_the_provider_and_back(plazas, playbook, pebble):
    before, issued = {plaza: plaza.fingerprint() for plaza in plazas}, pebble.issued()

    playbook.succeeds("balancer", asgi_balancer_tls_provider="selfsigned")
    assert [plaza.issuer() for plaza in plazas] == ["CN=plaza.test"] * 2
    # Renewal is disabled, so nothing replaces the certificate.
    for plaza in plazas:
        plaza.make_due()
        plaza.host.check_output("systemctl start certbot.service")
        plaza.make_due(False)
    assert [plaza.issuer() for plaza in plazas] == ["CN=plaza.test"] * 2
    # The same as for any other path.
    assert [plaza.ask(CHALLENGE, tls=False).status for plaza in plazas] == [308, 308]

    output = playbook.succeeds("balancer", "--check")
    assert re.findall(r"changed=(\d+)", output).count("0") == 0, output

    playbook.succeeds("balancer")
    # The previous certificate was still valid.
    assert {plaza: plaza.fingerprint() for plaza in plazas} == before
    assert pebble.issued() == issued


def test_uninstall_removes_the_renewal(plazas, playbook):
    variables = {"asgi_uninstall": "plaza", "asgi_balancer_uninstall_certificates": True}
    playbook.succeeds("balancer_uninstall", **variables)
    for plaza in plazas:
        assert plaza.host.run("ls -d /etc/asgi/plaza /etc/letsencrypt/*/asgi-plaza*").stdout == ""
    output = playbook.succeeds("balancer_uninstall", **variables)
    assert re.findall(r"changed=(\d+)", output) == ["0"] * 2, output
