"""The resources of a host that an app can use."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import host_facts as host
from ansible_collections.asgi.deploy.plugins.module_utils._app.installed_app import State
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout

PATHS = layout("hello")
LIVE = State(
    live="green", pairs={"green": Pair("r1", "c1")}, units={"hello@blue.service": "idle", "hello@green.service": "live"}
)


@pytest.fixture(autouse=True)
def facts(monkeypatch):
    monkeypatch.setattr(host, "capacity", lambda name: {"processor_nproc": 2, "apps": [{"name": name}]})


def test_without_a_live_release_systemd_is_not_queried(monkeypatch):
    monkeypatch.setattr(App, "live_pair", lambda _app: None)

    found = host.host_facts(App(PATHS, systemd=None), [])

    assert found == {
        "capacity": {"processor_nproc": 2, "apps": [{"name": "hello"}], "measured_memory_mb": None},
        "present_paths": [],
    }


def test_the_workers_of_the_live_slot_are_measured(monkeypatch):
    monkeypatch.setattr(host, "serving", lambda unit: {unit})
    monkeypatch.setattr(host, "measured_memory", lambda workers: {"idle": 1, "live": 34}[next(iter(workers))])
    app = SimpleNamespace(paths=PATHS, live_pair=lambda: LIVE.live_pair, state=lambda: LIVE)

    assert host.host_facts(app, [])["capacity"]["measured_memory_mb"] == 34


def test_only_existing_paths_are_returned(monkeypatch, tmp_path):
    monkeypatch.setattr(App, "live_pair", lambda _app: None)
    (tmp_path / "dangling").symlink_to("nowhere")
    paths = [str(tmp_path / name) for name in ("dangling", "none")]

    assert host.host_facts(App(PATHS, systemd=None), paths)["present_paths"] == paths[:1]
