# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module reload replaces the workers of the live slot, or boots a single process again in the other slot."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import State
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._command import restart
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Unit
from ansible_collections.asgi.deploy.plugins.modules import reload as module

PATHS = layout("shop")
WORKERS = {100: {101, 102}, 200: {201}}


class Failed(Exception):
    """Raised with the error message when the module fails."""


class Site:
    """A fake site that answers."""

    def __init__(self, *_arguments) -> None:
        pass

    def across(self, change):
        return change(lambda: ""), "answers"

    def wait(self, _seconds):
        return "answers"

    def result(self, answers):
        return answers


def unit(name, pid=0, can_reload=True):
    return Unit(name, "active" if pid else "inactive", "", bool(pid), False, pid, "", can_reload=can_reload)


def state(live, pids, can_reload=True):
    slots = PATHS["slots"].values()
    units = {slot["service_unit"]: unit(slot["service_unit"], pids.get(slot["name"], 0), can_reload) for slot in slots}
    return State(live=live, pairs=dict.fromkeys(PATHS["slots"], Pair("src-1", "c1")), units=units)


class App:
    """A fake app that has each of *states* in turn; an activation uses the slot green."""

    def __init__(self, *states) -> None:
        self.states = list(states)
        self.state = lambda: self.states.pop(0)
        self.probe_of = self.runs_unreachable = lambda _argument: None
        self.activated = []

    def activate(self, target, *_state_and_probe, verify, restart):
        assert (verify(), restart) == ("", True)
        self.activated.append(target)
        return "green"


def fail(msg):
    raise Failed(msg)


@pytest.fixture
def reload(monkeypatch):
    """Return a function that runs the module on an app."""
    monkeypatch.setattr(module, "Site", Site)
    monkeypatch.setattr(restart, "Site", Site)
    monkeypatch.setattr(module, "serving", lambda service: WORKERS[service.main_pid])
    monkeypatch.setattr(module, "_check", lambda *_arguments: None)

    def run(app, check_mode=False):
        frame = SimpleNamespace(params={"timeout": None}, check_mode=check_mode, run_command=None, fail_json=fail)
        return module._reload(frame, app, None, PATHS)

    return run


def test_check_mode_reports_the_workers_to_replace(reload):
    assert reload(App(state("blue", {"blue": 100})), check_mode=True) == {
        "release": "src-1",
        "slot": "blue",
        "replaced": [101, 102],
        "workers": [],
        "site": "answers",
    }


def test_single_process_boots_in_the_other_slot(reload):
    app = App(state("blue", {"blue": 100}, can_reload=False), state("green", {"green": 200}, can_reload=False))
    result = reload(app)
    assert app.activated == [Pair("src-1", "c1")]
    assert (result["slot"], result["replaced"], result["workers"]) == ("green", [101, 102], [201])


def test_stopped_service_is_not_reloaded(reload):
    with pytest.raises(Failed, match=r"shop@blue\.service is inactive: start it"):
        reload(App(state("blue", {})))


def test_app_that_is_not_live_is_not_reloaded(reload):
    with pytest.raises(Failed, match="shop is not live on this host"):
        reload(App(state(None, {})))
