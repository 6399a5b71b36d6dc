"""The module balancer_health: the responses that a balancer's clients receive, and the holder of the virtual address."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import probe as probe_module
from ansible_collections.asgi.deploy.plugins.modules import balancer_health as module


@pytest.fixture
def answers(monkeypatch):
    """Return a dictionary of response statuses by host; a host without an entry does not respond."""
    found = {}

    def ask(host, _port, _probe):
        if host not in found:
            raise ConnectionResetError("reset")
        return found[host], "body"

    monkeypatch.setattr(module, "ask_proxy", ask)
    monkeypatch.setattr(probe_module.time, "sleep", lambda _seconds: None)
    return found


PARAMS = {"port": 443, "path": "/health", "statuses": [200], "seconds": 0}


@pytest.mark.parametrize(
    ("name", "status", "others", "fault"),
    [
        ("a.test", 200, False, ""),
        ("a.test", 503, False, "HTTP 503: body"),
        ("a.test", 308, False, "HTTP 308: body"),
        ("a.test", 308, True, ""),
        ("a.test", 503, True, "HTTP 503: body"),
        ("a.test", None, True, "ConnectionResetError"),
        ("a.test", 400, True, "HTTP 400: body"),
        ("*.a.test", 200, True, ""),
        ("*.a.test", 400, True, ""),
        ("*.a.test", 421, True, "HTTP 421: body"),
        ("*.a.test", 503, True, "HTTP 503: body"),
    ],
)
def test_responses_for_a_name(answers, name, status, others, fault):
    if status:
        answers[name.replace("*", "site-check")] = status
    observed = module._fault(name, PARAMS, (200, *(module.REDIRECTS if others else ())), 0)
    assert (fault in observed) if fault else (observed == "")


class Host:
    def __init__(self, addresses, running=True, script=0, age=100):
        self.shown = itertools.chain(addresses, itertools.repeat(addresses[-1]))
        self.running, self.script, self.age = running, script, age
        self.params = {"virtual_ip": "192.0.2.10/24", "port": 443, "seconds": 20}
        self.slept = []

    def read_text(self, path):
        assert path == "/proc/net/fib_trie"
        return "".join(f"|-- {each}\n   /32 host LOCAL\n" for each in next(self.shown))

    def run_command(self, argv):
        if argv[:2] == ["systemctl", "is-active"]:
            return (0 if self.running else 3), "", ""
        if argv[0] == "systemctl":
            return 0, "0\n", ""
        if argv[0] == "journalctl":
            return 0, "(asgi) Entering BACKUP STATE\n", ""
        return self.script, "", "Traceback\nConnectionRefusedError: refused\n" if self.script else ""


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances only by sleeping."""
    now = [1000.0]
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    fake = SimpleNamespace(
        monotonic=lambda: now[0],
        time=lambda: now[0],
        clock_gettime=lambda _clock: now[0],
        CLOCK_MONOTONIC=1,
        sleep=sleep,
    )
    monkeypatch.setattr(module, "time", fake)
    return slept


@pytest.mark.parametrize(
    ("addresses", "answers_at", "holds", "waited"),
    [
        ([["192.0.2.11", "192.0.2.10"]], False, True, 0),
        ([["192.0.2.11"]], True, False, 0),
        ([["192.0.2.11"], ["192.0.2.11"], ["192.0.2.11", "192.0.2.10"]], False, True, 2),
        ([["192.0.2.11"]], False, False, 21),
    ],
)
def test_the_module_waits_for_a_holder_of_the_address(monkeypatch, clock, addresses, answers_at, holds, waited):
    monkeypatch.setattr(module, "_answers", lambda address, port: answers_at)
    host = Host(addresses)
    monkeypatch.setattr(module, "read_text", host.read_text)
    found = module._shared_address(host)
    assert (found["holds"], found["answers"], found["state"]) == (holds, answers_at, "BACKUP")
    assert sum(clock) == waited


def test_the_module_does_not_wait_for_a_stopped_keepalived(monkeypatch, clock):
    monkeypatch.setattr(module, "_answers", lambda address, port: False)
    found = module._shared_address(Host([["192.0.2.11"]], running=False, script=1))
    assert (found["running"], found["holds"], found["script"]) == (False, False, "ConnectionRefusedError: refused")
    assert sum(clock) <= 1


def test_the_module_waits_after_a_reload_of_keepalived(monkeypatch, clock, tmp_path):
    monkeypatch.setattr(module, "_answers", lambda address, port: True)
    conf = tmp_path / "keepalived.conf"
    conf.touch()
    monkeypatch.setattr(module, "CONFIGURATION", str(conf))
    module.os.utime(conf, (997, 997))
    module._shared_address(Host([["192.0.2.11"]]))
    assert clock == [module.SETTLING_SECONDS - 3]
