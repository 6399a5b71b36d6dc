"""The machine after a restart."""

from __future__ import annotations

import json

from traffic.playbooks import wait_for


def test_app_answers_with_the_same_release(app):
    wait_for(lambda: status_of(app) == 200, "the app to answer", seconds=120)
    before = json.loads(app.host.file(f"/var/tmp/{app.name}-release.json").content)
    now = json.loads(app.host.file(f"/srv/{app.name}/slots/{app.live}/release/release.json").content)
    assert now["id"] == before["id"]


def test_idle_slot_is_not_running(app):
    assert not app.host.service(app.service(app.idle)).is_running


def status_of(app):
    try:
        return app.ask(app.probe_path).status
    except OSError:
        return None
