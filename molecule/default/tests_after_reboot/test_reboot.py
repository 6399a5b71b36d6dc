"""After the machine has been stopped and started, nobody having done anything."""

from __future__ import annotations

import json

from traffic.playbooks import wait_for


def test_the_app_answers_again_on_the_same_release(app):
    wait_for(lambda: status_of(app) == 200, "the app to answer", seconds=120)
    before = json.loads(app.host.file(f"/var/tmp/{app.name}-release.json").content)
    now = json.loads(app.host.file(f"/srv/{app.name}/slots/{app.live}/release/release.json").content)
    assert now["id"] == before["id"]


def test_the_idle_slot_still_does_not_run(app):
    assert not app.host.service(app.service(app.idle)).is_running


def status_of(app):
    try:
        return app.ask(app.probe_path).status
    except OSError:
        return None
