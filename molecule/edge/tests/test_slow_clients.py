"""Many concurrent slow clients do not affect other clients."""

from __future__ import annotations

import csv
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import testinfra

CONNECTIONS = 200
SECONDS = 20

ATTACKS = {
    # sends a header line every 5 s, and never ends the request
    "slowloris": "-H -i 5 -u https://hello.test/",
    # sends ten bytes of the body every 5 s
    "slow body": "-B -i 5 -x 10 -s 8192 -t POST -f application/json -u https://hello.test/echo",
    # reads ten bytes every 2 s; the response is larger than all buffers
    "slow read": "-X -n 2 -w 10 -y 20 -z 10 -u https://hello.test/static/large",
}

# The control: a server for one client at a time, without a proxy.
NAIVE = "-m gunicorn --bind 0.0.0.0:8000 --timeout 60 wsgiref.simple_server:demo_app"


def attack(judge, options, seconds):
    """Return the numbers of open and of closed connections of slowhttptest for each second."""
    judge.run("slowhttptest", *f"-g -o /tmp/slow -c {CONNECTIONS} -r {CONNECTIONS} -l {seconds} -p 3 {options}".split())
    lines = list(csv.DictReader(judge.run("cat", "/tmp/slow.csv").splitlines()))
    return [int(line["Connected"]) for line in lines], [int(line["Closed"]) for line in lines]


def measure(judge, name, options, url, seconds, patience):
    """Attack and send normal requests at the same time. Return a summary, the maximum of connections, and the normal requests."""
    with ThreadPoolExecutor() as pool:
        attacking = pool.submit(attack, judge, options, seconds)
        time.sleep(2)  # until the connections are open
        others = json.loads(judge.run("python3", "/opt/ask.py", url, str(seconds - 3), str(patience)))
        connected, closed = attacking.result()
    text = (
        f"{name}, {judge.machine}: {max(connected)} slow connections, {max(closed)} of them ended by the server; others: "
        f"{others['answered']} of {others['requests']} answered, median {others['median_ms']} ms, worst {others['worst_ms']} ms"
    )
    return text, max(connected), others


@pytest.fixture(scope="module")
def large(judges):
    """Create a large file in the live release of every machine for slow readers."""
    path = "/srv/hello/current/code/static/large"
    hosts = [testinfra.get_host(f"docker://{machine}") for machine in judges]
    for host in hosts:
        host.check_output(f"truncate --size=4M {path}")
    yield
    for host in hosts:
        host.check_output(f"rm {path}")


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("name", ATTACKS)
def test_other_clients_are_answered_during_an_attack(at_once, capsys, name):
    results = at_once(lambda judge: measure(judge, name, ATTACKS[name], "https://hello.test", SECONDS, patience=10))

    with capsys.disabled():
        print("", *(text for text, _connected, _others in results.values()), sep="\n")
    for text, connected, others in results.values():
        assert connected > CONNECTIONS * 0.9, text
        assert others["requests"] > SECONDS, text
        assert others["answered"] == others["requests"], (text, others["failures"])


def test_attack_stops_a_server_without_nginx(hello, judges, capsys):
    hello.host.check_output(
        f"systemd-run --quiet --unit=naive --property=DynamicUser=yes /srv/hello/current/.venv/bin/python {NAIVE}"
    )
    try:
        judge = judges[hello.machine]
        options = ATTACKS["slowloris"].replace("https://hello.test", "http://hello.test:8000")
        text, connected, others = measure(judge, "slowloris without nginx", options, "http://hello.test:8000", 10, 0.5)
    finally:
        hello.host.check_output("systemctl stop naive.service")

    with capsys.disabled():
        print(f"\n{text}")
    assert connected > 0, text
    assert others["answered"] < others["requests"] / 2, text
