"""What a host has for an app."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import host
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import Pair
from ansible_collections.asgi.deploy.plugins.module_utils.slots import App, State

PATHS = layout("hello")
LIVE = State(
    live="green", pairs={"green": Pair("r1", "c1")}, units={"hello@blue.service": "idle", "hello@green.service": "live"}
)


@pytest.fixture(autouse=True)
def facts(monkeypatch):
    monkeypatch.setattr(host, "capacity", lambda name: {"processor_nproc": 2, "apps": [{"name": name}]})


def test_where_nothing_is_live_systemd_is_not_asked(monkeypatch):
    monkeypatch.setattr(App, "live_pair", lambda _app: None)

    found = host.what_it_has(App(PATHS, systemd=None), [])

    assert found == {
        "capacity": {"processor_nproc": 2, "apps": [{"name": "hello"}], "measured_memory_mb": None},
        "present_paths": [],
    }


def test_the_workers_of_the_live_slot_are_measured(monkeypatch):
    monkeypatch.setattr(host, "serving", lambda unit: {unit})
    monkeypatch.setattr(host, "measured_memory", lambda workers: {"idle": 1, "live": 34}[next(iter(workers))])
    app = SimpleNamespace(paths=PATHS, live_pair=lambda: LIVE.live_pair, state=lambda: LIVE)

    assert host.what_it_has(app, [])["capacity"]["measured_memory_mb"] == 34


def test_only_paths_that_exist_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(App, "live_pair", lambda _app: None)
    (tmp_path / "dangling").symlink_to("nowhere")
    paths = [str(tmp_path / name) for name in ("dangling", "none")]

    assert host.what_it_has(App(PATHS, systemd=None), paths)["present_paths"] == paths[:1]
