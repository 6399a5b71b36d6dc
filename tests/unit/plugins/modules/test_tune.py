"""The course of a measurement, with a trial slot that only pretends."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import Pair
from ansible_collections.asgi.deploy.plugins.module_utils.slots import State
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Unit
from ansible_collections.asgi.deploy.plugins.modules import tune
from ansible_collections.asgi.deploy.plugins.modules.tune import Refused, Trial

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
        "worker_memory": 128,
        "with_traffic": False,
    }
    return {**usual, **changes}


class Pretended(Trial):
    """Takes ten seconds for each measurement."""

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


def course(trial):
    trial.run()
    return [(each["round"], each["workers"]) for each in trial.measurements]


def test_the_rounds_go_up_and_down(clock):
    trial = Pretended(clock, 3, 1, 2)

    assert course(trial) == [(0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (1, 1), (2, 1), (2, 2), (2, 3)]
    assert all(each["throughput"] == each["workers"] for each in trial.measurements)


def test_no_round_is_begun_that_would_not_end_in_time(clock):
    assert {number for number, _workers in course(Pretended(clock, 1, 2, budget=59))} == {0, 1}


def test_a_first_round_that_takes_too_long_is_given_up(clock):
    with pytest.raises(Refused, match="asgi_tune_budget"):
        course(Pretended(clock, 1, 2, 3, 4, budget=25))


def test_what_is_measured_is_the_probe_unless_told_otherwise(clock):
    assert Pretended(clock, 1).request[:3] == ("GET", "/health", {"Host": "x"})
    other = Pretended(clock, 1, path="/a?b=1", method="POST", headers='{"Host": "y", "A": "b"}', body='"c"')
    assert other.request == ("POST", "/a?b=1", {"Host": "y", "A": "b"}, "c")


def test_the_plan_is_told(clock):
    assert Pretended(clock, 1, 2).plan() == (
        "GET /health of release r1 with 1, 2 workers: 64 connections, 2 + 5 s each, 3 times, at least 42 s in all"
    )


# ---- what is refused


class App:
    """An app with blue live, as far as refusals ask."""

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
    """Return what is refused, nothing if it is not."""

    def ask(app, log=(), free=4096, **changes):
        monkeypatch.setattr(tune, "last_lines", lambda _path: list(log))
        monkeypatch.setattr(tune, "available_memory", lambda _text: free)
        try:
            tune._refuse(SimpleNamespace(params=options(1, 4, **changes)), app)
        except Refused as exc:
            return str(exc)
        return ""

    return ask


def test_a_quiet_host_is_measured(refusal):
    assert refusal(App()) == ""


def test_a_deploy_that_goes_on_is_not_disturbed(refusal):
    assert "shop@green.service is active" in refusal(App(green="active"))
    assert "shop@blue.service is failed" in refusal(App(blue="failed"))


def test_clients_are_not_disturbed_unless_that_is_said(refusal):
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    log = [f'{{"time": "{at}", "user_agent": "Firefox"}}']

    assert "asgi_tune_with_traffic=true" in refusal(App(), log)
    assert refusal(App(), log, with_traffic=True) == ""


def test_more_workers_than_there_is_memory_for(refusal):
    assert "4 workers of 128 MiB need 512 MiB, and 500 are free" in refusal(App(), free=500)
    assert refusal(App(), free=512) == ""
