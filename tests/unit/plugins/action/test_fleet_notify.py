# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin fleet_notify: one notification for each app, and a warning instead of a failure."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.action import fleet_notify
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet import webhook

MARKER = {"what": "deploy", "by": "anna", "at": "2026-12-01T08:00:00Z", "duration_seconds": 1, "reason": None}


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    monkeypatch.setattr(webhook.time, "sleep", lambda _seconds: None)


def deployed(app, **variables):
    marker = {**MARKER, "app": app, "from": "src-1", "to": "src-2", "result": "succeeded"}
    return {"asgi_name": app, "__asgi_server_live": {"marker": marker}, **variables}


def test_each_app_sends_one_notification(run_action, receiver):
    hostvars = {
        "web1": deployed("shop"),
        "web2": deployed("shop", asgi_deploy_notify_url=receiver.url, asgi_deploy_notify_headers={"X-Token": "s3cret"}),
        "web3": deployed("tiles"),
    }
    assert run_action(fleet_notify, {"change": "deploy"}, hostvars) == {"changed": False}

    [request] = receiver.requests
    assert request.headers["X-Token"] == "s3cret"
    assert (request.json["app"], [each["host"] for each in request.json["hosts"]]) == ("shop", ["web1", "web2"])


def test_play_variables_apply_to_all_hosts(run_action, receiver):
    hostvars = {"web1": deployed("shop"), "web2": deployed("shop")}
    for host in hostvars.values():
        del host["asgi_name"]
    run_action(fleet_notify, {"change": "deploy"}, hostvars, asgi_name="shop", asgi_deploy_notify_url=receiver.url)

    assert [len(request.json["hosts"]) for request in receiver.requests] == [2]


def test_nothing_is_sent_in_check_mode_or_without_a_url(run_action, receiver):
    run_action(fleet_notify, {"change": "deploy"}, {"web1": deployed("shop")})
    hostvars = {"web1": deployed("shop", asgi_deploy_notify_url=receiver.url)}
    run_action(fleet_notify, {"change": "deploy"}, hostvars, check_mode=True)

    assert receiver.requests == []


def test_hosts_that_have_failed_or_left_the_play(run_action, receiver):
    hostvars = {f"web{n}": deployed("shop", asgi_deploy_notify_url=receiver.url) for n in (1, 2, 3)}
    arguments = {"change": "deploy", "unreachable": ["web2", "web3"]}
    run_action(fleet_notify, arguments, hostvars, groups={"asgi_deploy_failed": ["web2"]})

    [request] = receiver.requests
    assert [each["result"] for each in request.json["hosts"]] == ["succeeded", "failed", "unreachable"]


def test_a_refused_notification_is_a_warning_without_secrets(run_action, receiver):
    receiver.statuses[:] = [403]
    hostvars = {"web1": deployed("shop", asgi_deploy_notify_url=receiver.url)}
    found = run_action(fleet_notify, {"change": "deploy"}, hostvars)

    assert found["warnings"] == [
        "shop: the notification about this deploy was not delivered to asgi_deploy_notify_url: it answered HTTP 403"
    ]
