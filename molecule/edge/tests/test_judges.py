"""What programs say that nobody here wrote. Each prints its verdict."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import probe
import pytest

CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"
TESTSSL = (
    "testssl --quiet --warnings off --color 0 --nodns none --add-ca /ca.crt --jsonfile /tmp/testssl.json hello.test"
)

# What testssl.sh rates MEDIUM or worse, or could not test, and no configuration of nginx could mend.
NOT_OURS = {
    "cert_revocation": "the CA decides whether its certificates name a revocation list, and the test CA has none",
    "engine_problem": "of the judge's own OpenSSL, which has no GOST",
    # seen by hand: with the ticket, the second handshake says "Reused"
    "sessionresumption_ticket": "the judge hangs up before it has a ticket, and then misses the file with it",
}
HARMLESS = {"OK", "INFO", "LOW"}

FILE = "# configuration file "
OURS = "/etc/nginx/conf.d/asgi-"
BAD_SITE = """
# configuration file /etc/nginx/conf.d/asgi-bad.conf:
server {
    listen 443 ssl;
    server_name bad.test;
    location /static {
        alias /srv/bad/;
    }
}
"""

REQUESTS = 2000
EXPOSURE = 18  # tenths; systemd calls that "OK"


@pytest.fixture(scope="session")
def testssl(at_once):
    def ask(judge):
        said = judge.run(*TESTSSL.split(), timeout=400)
        findings = json.loads(judge.run("cat", "/tmp/testssl.json"))
        return said, {finding["id"]: finding for finding in findings}

    return at_once(ask)


@pytest.mark.long
def test_testssl_grades_a_plus(hello, testssl, capsys):
    said, findings = testssl[hello.machine]

    faults = {name: finding for name, finding in findings.items() if finding["severity"] not in HARMLESS}
    with capsys.disabled():
        print(f"\ntestssl.sh, {hello.machine}: {len(findings)} findings, grade {findings['overall_grade']['finding']}")
        for name, finding in findings.items():
            if finding["severity"] == "LOW":
                print(f"  LOW {name}: {finding['finding']}")
        for name, finding in faults.items():
            print(f"  {finding['severity']} {name}: {finding['finding']} ({NOT_OURS.get(name, 'ours')})")
    assert findings["overall_grade"]["finding"] == "A+", said
    assert findings["HSTS_time"]["severity"] == "OK"
    assert findings["cert_chain_of_trust"]["finding"] == "passed."
    # it went through to the end: protocols, ciphers, vulnerabilities, headers
    assert {"TLS1", "cipherlist_3DES_IDEA", "heartbleed", "BREACH", "banner_server"} <= set(findings)
    assert set(faults) <= set(NOT_OURS), said


def issues(judge, configuration):
    """Return what gixy has to say of our files in the output of `nginx -T`, and of the distribution's."""
    found = json.loads(judge.run("/opt/gixy/bin/gixy", "--format", "json", "-", said=configuration))
    ours = [issue for issue in found if issue["file"].startswith(OURS)]
    return [issue for issue in ours if not guarded(issue)], [issue for issue in found if issue not in ours]


def guarded(issue):
    """Whether *issue* is the way of WebSockets to a location of their own, which lets in the same addresses.

    gixy sees that "return" comes before "deny", and not where it leads; test_locations.py goes there.
    """
    return issue["plugin"] == "return_bypasses_allow_deny" and set(re.findall(r"return .*", issue["config"])) == {
        "return 418;"
    }


def test_gixy_finds_nothing_in_what_we_wrote(hello, judges, capsys):
    configuration = hello.host.check_output("nginx -T 2>/dev/null")
    assert f"{OURS}hello.conf:" in configuration

    ours, theirs = issues(judges[hello.machine], configuration)

    with capsys.disabled():
        print(f"\ngixy-ng, {hello.machine}: {len(ours)} issues in {configuration.count(FILE + OURS)} files of ours")
        for issue in theirs:
            print(f"  {issue['severity']} in the distribution's nginx.conf: {issue['summary']}")
    assert ours == []
    # a mistake has it find something
    ours, _theirs = issues(judges[hello.machine], configuration + BAD_SITE)
    assert "alias_traversal" in {issue["plugin"] for issue in ours}


def test_h2load_gets_every_answer(hello, judges, capsys):
    said = judges[hello.machine].run(*f"h2load -n {REQUESTS} -c 20 -m 10 https://hello.test/health".split())

    rate = re.search(r"finished in .*", said)
    with capsys.disabled():
        print(f"\nh2load, {hello.machine}: {rate[0] if rate else said}")
    assert "Application protocol: h2" in said
    assert f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert f"status codes: {REQUESTS} 2xx" in said


def test_a_websocket_client_through_tls(hello):
    text = "over TLS " * 1000
    assert probe.websocket_echo("hello.test", hello.port(), "/ws", text, ca=CA) == text


def test_systemd_calls_the_sandbox_ok(hello, capsys):
    slot = hello.host.check_output("basename $(readlink /run/hello/live.sock) .sock")
    said = hello.host.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE} hello@{slot}.service")

    with capsys.disabled():
        print(f"\nsystemd-analyze security, {hello.machine}: {said.stdout.strip().splitlines()[-1]}")
    assert said.rc == 0, said.stdout
    # it does compare
    assert hello.host.run("systemd-analyze security --no-pager --threshold=1 hello@blue.service").rc != 0


MONITORING = Path(__file__).parents[3] / "docs/monitoring"


def test_promtool_accepts_the_alerts_and_what_they_are_tested_with(judges):
    """Prometheus's own program: the rules, what fires on what, and the example of a configuration."""
    judge = next(iter(judges.values()))
    for name in ("alerts.yml", "alerts_test.yml", "prometheus.yml"):
        judge.run("sh", "-c", f"cat >/tmp/{name}; echo written", said=(MONITORING / name).read_text())
    for command in ("check rules alerts.yml", "test rules alerts_test.yml", "check config prometheus.yml"):
        said = judge.run("sh", "-c", f"cd /tmp && promtool {command} 2>&1; echo status $?")
        assert said.endswith("status 0\n"), said
    broken = (MONITORING / "alerts.yml").read_text().replace("asgi_listen_queue / ", "asgi_listen_queue_limit / ")
    said = judge.run("sh", "-c", "cd /tmp && cat >alerts.yml && promtool test rules alerts_test.yml 2>&1", said=broken)
    assert "AsgiQueueFills" in said, "it can object"


def test_promtool_accepts_the_metrics(hello, judges):
    hello.ask("/")
    metrics = hello.told("http://127.0.0.1:9464/metrics")
    assert "asgi_requests_total{" in metrics
    said = judges[hello.machine].run("sh", "-c", "promtool check metrics 2>&1; echo status $?", said=f"{metrics}\n")
    assert said == "status 0\n"
