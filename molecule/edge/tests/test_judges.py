"""Checks of the site by third-party programs. Each test prints their verdict."""

from __future__ import annotations

import json
import re
from pathlib import Path

import probe
import pytest

TESTSSL = (
    "testssl --quiet --warnings off --color 0 --nodns none --add-ca /ca.crt --jsonfile /tmp/testssl.json hello.test"
)

# Findings that testssl.sh rates MEDIUM or worse, or could not test, and that no configuration of nginx can fix.
ACCEPTED = {
    "cert_revocation": "the CA decides whether its certificates name a revocation list, and the test CA has none",
    "engine_problem": "the OpenSSL of the judge has no GOST",
    # Verified manually: with the ticket, the second handshake prints "Reused".
    "sessionresumption_ticket": "the judge closes the connection before it receives a ticket, and then lacks its file",
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
EXPOSURE = 18  # in tenths; systemd rates it "OK"


@pytest.fixture(scope="session")
def testssl(at_once):
    def scan(judge):
        output = judge.run(*TESTSSL.split(), timeout=400)
        findings = json.loads(judge.run("cat", "/tmp/testssl.json"))
        return output, {finding["id"]: finding for finding in findings}

    return at_once(scan)


@pytest.mark.long
def test_testssl_grades_a_plus(hello, testssl, capsys):
    output, findings = testssl[hello.machine]

    problems = {name: finding for name, finding in findings.items() if finding["severity"] not in HARMLESS}
    with capsys.disabled():
        print(f"\ntestssl.sh, {hello.machine}: {len(findings)} findings, grade {findings['overall_grade']['finding']}")
        for name, finding in findings.items():
            if finding["severity"] == "LOW":
                print(f"  LOW {name}: {finding['finding']}")
        for name, finding in problems.items():
            print(f"  {finding['severity']} {name}: {finding['finding']} ({ACCEPTED.get(name, 'a fault')})")
    assert findings["overall_grade"]["finding"] == "A+", output
    assert findings["HSTS_time"]["severity"] == "OK"
    assert findings["cert_chain_of_trust"]["finding"] == "passed."
    # The scan is complete: protocols, ciphers, vulnerabilities, headers.
    assert {"TLS1", "cipherlist_3DES_IDEA", "heartbleed", "BREACH", "banner_server"} <= set(findings)
    assert set(problems) <= set(ACCEPTED), output


def issues(judge, configuration):
    """Return the issues of gixy in our files in the output of `nginx -T`, and those in the files of the distribution."""
    reported = json.loads(judge.run("/opt/gixy/bin/gixy", "--format", "json", "-", stdin=configuration))
    ours = [issue for issue in reported if issue["file"].startswith(OURS)]
    return [issue for issue in ours if not deliberate(issue)], [issue for issue in reported if issue not in ours]


def deliberate(issue):
    """Return whether *issue* is deliberate.

    gixy recommends open_file_cache with try_files, but it would serve files of the previous release after a deploy. It also reports a
    "return" before "deny", which sends WebSockets to their own location; that location allows the same addresses, as test_locations.py
    checks.
    """
    if issue["plugin"] == "try_files_is_evil_too":
        return True
    return issue["plugin"] == "return_bypasses_allow_deny" and set(re.findall(r"return .*", issue["config"])) == {
        "return 418;"
    }


def test_gixy_reports_no_issue_in_our_files(hello, judges, capsys):
    configuration = hello.host.check_output("nginx -T 2>/dev/null")
    assert f"{OURS}hello.conf:" in configuration

    ours, theirs = issues(judges[hello.machine], configuration)

    with capsys.disabled():
        print(f"\ngixy-ng, {hello.machine}: {len(ours)} issues in our {configuration.count(FILE + OURS)} files")
        for issue in theirs:
            print(f"  {issue['severity']} in the distribution's nginx.conf: {issue['summary']}")
    assert ours == []
    # gixy detects a fault.
    ours, _theirs = issues(judges[hello.machine], configuration + BAD_SITE)
    assert "alias_traversal" in {issue["plugin"] for issue in ours}


def test_h2load_receives_every_answer(hello, judges, capsys):
    output = judges[hello.machine].run(*f"h2load -n {REQUESTS} -c 20 -m 10 https://hello.test/health".split())

    rate = re.search(r"finished in .*", output)
    with capsys.disabled():
        print(f"\nh2load, {hello.machine}: {rate[0] if rate else output}")
    assert "Application protocol: h2" in output
    assert f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in output
    assert f"status codes: {REQUESTS} 2xx" in output


def test_websocket_over_tls(hello):
    text = "over TLS " * 1000
    assert probe.websocket_echo("hello.test", hello.port(), "/ws", text, ca=hello.ca) == text


def test_systemd_rates_the_sandbox_ok(hello, capsys):
    slot = hello.host.check_output("basename $(readlink /run/hello/live.sock) .sock")
    output = hello.host.run(f"systemd-analyze security --no-pager --threshold={EXPOSURE} hello@{slot}.service")

    with capsys.disabled():
        print(f"\nsystemd-analyze security, {hello.machine}: {output.stdout.strip().splitlines()[-1]}")
    assert output.rc == 0, output.stdout
    # The threshold has an effect.
    assert hello.host.run("systemd-analyze security --no-pager --threshold=1 hello@blue.service").rc != 0


MONITORING = Path(__file__).parents[3] / "docs/monitoring"


def test_promtool_accepts_the_alerts_and_their_tests(judges):
    """promtool checks the rules, their tests and the example configuration."""
    judge = next(iter(judges.values()))
    for name in ("alerts.yml", "alerts_test.yml", "prometheus.yml"):
        judge.run("sh", "-c", f"cat >/tmp/{name}; echo written", stdin=(MONITORING / name).read_text())
    for command in ("check rules alerts.yml", "test rules alerts_test.yml", "check config prometheus.yml"):
        output = judge.run("sh", "-c", f"cd /tmp && promtool {command} 2>&1; echo status $?")
        assert output.endswith("status 0\n"), output
    broken = (MONITORING / "alerts.yml").read_text().replace("asgi_listen_queue / ", "asgi_listen_queue_limit / ")
    output = judge.run(
        "sh", "-c", "cd /tmp && cat >alerts.yml && promtool test rules alerts_test.yml 2>&1", stdin=broken
    )
    assert "AsgiQueueFills" in output, "promtool must report a failing test"


READ_METRICS = """
import socket
client = socket.socket(socket.AF_UNIX)
client.connect("/run/hello/metrics.sock")
client.sendall(b"GET /metrics HTTP/1.1\\r\\n\\r\\n")
print(b"".join(iter(lambda: client.recv(65536), b"")).decode().partition("\\r\\n\\r\\n")[2])
"""


def test_promtool_accepts_the_metrics(hello, judges):
    hello.ask("/")
    metrics = hello.host.check_output("python3 -c %s", READ_METRICS)
    assert "asgi_requests_total{" in metrics
    output = judges[hello.machine].run("sh", "-c", "promtool check metrics 2>&1; echo status $?", stdin=f"{metrics}\n")
    assert output == "status 0\n"
