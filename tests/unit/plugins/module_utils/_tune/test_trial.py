"""The rounds of a measurement with a simulated trial slot, and the conditions that a host must meet."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import State
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Unit
from ansible_collections.asgi.deploy.plugins.module_utils._tune import trial as tune
from ansible_collections.asgi.deploy.plugins.module_utils._tune.trial import Refused, Trial, check_host

PROBE = {"path": "/health", "host": "x", "statuses": [200], "successes": 1, "timeout": 1, "deadline": 1}


def options(*workers, **changes):
    usual = {
        "candidates": [{"workers": count, "files": {"workers": count}} for count in workers],
        "probe": PROBE,
        "path": None,
        "method": "GET",
        "headers": None,
        "body": "",
        "connections": 64,
        "seconds": 5,
        "warmup": 2,
        "rounds": 3,
        "budget": 600,
        "release": None,
    }
    return {**usual, **changes}


class SimulatedTrial(Trial):
    """A trial whose measurements take ten simulated seconds each."""

    def __init__(self, clock, *workers, **changes):
        app = SimpleNamespace(paths=layout("shop"), systemd=None)
        super().__init__(SimpleNamespace(params=options(*workers, **changes)), app, "r1")
        self.clock = clock

    def prepare(self):
        pass

    def measure(self, files):
        self.clock.now += 10
        return {"throughput": files["workers"]}


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(tune.time, "monotonic", lambda: clock.now)
    return clock


def rounds(trial):
    trial.run()
    return [(each["round"], each["workers"]) for each in trial.measurements]


def test_the_rounds_go_up_and_down(clock):
    trial = SimulatedTrial(clock, 3, 1, 2)

    assert rounds(trial) == [(0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (1, 1), (2, 1), (2, 2), (2, 3)]
    assert all(each["throughput"] == each["workers"] for each in trial.measurements)


def test_a_round_that_would_exceed_the_budget_does_not_start(clock):
    assert {number for number, _workers in rounds(SimulatedTrial(clock, 1, 2, budget=59))} == {0, 1}


def test_a_first_round_that_exceeds_the_budget_is_aborted(clock):
    with pytest.raises(Refused, match="asgi_tune_budget"):
        rounds(SimulatedTrial(clock, 1, 2, 3, 4, budget=25))


def test_the_request_defaults_to_the_probe(clock):
    assert SimulatedTrial(clock, 1).request[:3] == ("GET", "/health", {"Host": "x"})
    other = SimulatedTrial(clock, 1, path="/a?b=1", method="POST", headers='{"Host": "y", "A": "b"}', body='"c"')
    assert other.request == ("POST", "/a?b=1", {"Host": "y", "A": "b"}, "c")


def test_plan(clock):
    assert SimulatedTrial(clock, 1, 2).plan() == (
        "GET /health of release r1 with 1, 2 workers: 64 connections, 2 + 5 s each, 3 times, at least 42 s in total"
    )


class App:
    """An app whose live slot is blue."""

    paths = layout("shop")

    def __init__(self, **active):
        self.active = {"blue": "active", "green": "inactive", **active}

    def state(self):
        units = {
            f"shop@{slot}.service": Unit(f"shop@{slot}.service", active, "", False, False, 1, "")
            for slot, active in self.active.items()
        }
        return State("blue", {"blue": Pair("r1", "c1"), "green": None}, units)


@pytest.fixture
def refusal(monkeypatch):
    """Return a function that returns the reason why the host cannot be measured, or an empty string."""

    def check(app, log=(), available=4096, with_traffic=False):
        monkeypatch.setattr(tune, "last_lines", lambda _path: list(log))
        monkeypatch.setattr(tune, "available_memory", lambda _text: available)
        try:
            check_host(app, workers=4, worker_memory=128, with_traffic=with_traffic)
        except Refused as exc:
            return str(exc)
        return ""

    return check


def test_an_idle_host_is_measured(refusal):
    assert refusal(App()) == ""


def test_a_deploy_in_progress_is_refused(refusal):
    assert "shop@green.service is active" in refusal(App(green="active"))
    assert "shop@blue.service is failed" in refusal(App(blue="failed"))


def test_traffic_is_refused_unless_allowed(refusal):
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    log = [f'{{"time": "{at}", "user_agent": "Firefox"}}']

    assert "asgi_tune_with_traffic=true" in refusal(App(), log)
    assert refusal(App(), log, with_traffic=True) == ""


def test_too_little_memory_is_refused(refusal):
    assert "4 workers of 128 MiB need 512 MiB, and 500 are available" in refusal(App(), available=500)
    assert refusal(App(), available=512) == ""
