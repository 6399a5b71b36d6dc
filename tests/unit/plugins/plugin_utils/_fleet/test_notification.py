# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notification about a change of an app."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.notification import host_of, notification


def marker(what="deploy", at="2026-12-01T08:00:00Z", seconds=4.0, result="succeeded", app="shop", **changed):
    return {
        "what": what,
        "app": app,
        "by": "anna",
        "at": at,
        "duration_seconds": seconds,
        "from": "src-1",
        "to": "src-2",
        "result": result,
        "reason": None,
        **changed,
    }


STAGED = {"asgi_app_release": {"release": "src-2", "serving": {"release": "src-1", "config": "c1"}}}
DEPLOYED = {**STAGED, "__asgi_server_live": {"marker": marker()}}
BROKEN = marker(result="failed", reason="GET /health answered HTTP 500")


def host(variables, change="deploy", failed=False, unreachable=False, site=None):
    return host_of({**variables, "checked": {"site": site}}, change, "shop", failed, unreachable, "checked")


def results(found):
    return [(each["result"], each["reason"]) for each in found["hosts"]]


def test_a_successful_deploy():
    later = marker(at="2026-12-01T08:00:10Z", seconds=2.5, **{"from": None})
    found = notification(
        "deploy", "shop", {"web1": host(DEPLOYED), "web2": host({**STAGED, "__asgi_server_live": {"marker": later}})}
    )

    assert found == {
        "text": "deploy of shop succeeded; src-1 -> src-2; hosts: 2 succeeded",
        "what": "deploy",
        "app": "shop",
        "result": "succeeded",
        "by": "anna",
        "from": "src-1",
        "to": "src-2",
        "duration_seconds": 12.5,
        "reason": None,
        "hosts": [
            {
                "host": "web1",
                "from": "src-1",
                "to": "src-2",
                "result": "succeeded",
                "duration_seconds": 4,
                "reason": None,
            },
            {
                "host": "web2",
                "from": None,
                "to": "src-2",
                "result": "succeeded",
                "duration_seconds": 2.5,
                "reason": None,
            },
        ],
    }


def test_without_a_change_there_is_no_notification():
    assert notification("deploy", "shop", {"web1": host({**STAGED, "__asgi_server_live": {"changed": False}})}) is None


def test_a_change_of_another_app_in_the_same_run_is_not_part_of_it():
    other = {
        "__asgi_server_live": {"marker": marker(app="tiles")},
        "__asgi_fleet_changed": {"marker": marker("reload")},
    }
    assert notification("deploy", "shop", {"web1": host({**STAGED, **other})}) is None
    assert notification("reload", "shop", {"web1": host(other, "reload")})["what"] == "reload"


@pytest.mark.parametrize(
    ("variables", "options", "expected"),
    [
        ({**STAGED, "__asgi_server_live": {"marker": BROKEN}}, {"failed": True}, ("failed", BROKEN["reason"])),
        ({**STAGED, "__asgi_server_booted": {"marker": BROKEN}}, {"failed": True}, ("failed", BROKEN["reason"])),
        (
            {**DEPLOYED, "__asgi_server_abandoned": {"marker": marker("abandon", reason="the hook failed")}},
            {"failed": True},
            ("failed", "the hook failed"),
        ),
        ({**DEPLOYED, "__asgi_fleet_restored": {"marker": marker("restore")}}, {}, ("restored", None)),
        ({"asgi_app_release": {"failed": True, "msg": "no wheel\nfor x"}}, {}, ("failed", "no wheel")),
        ({**STAGED, "__asgi_app_migrated": {"failed": True, "msg": "alembic ended"}}, {}, ("failed", "alembic ended")),
        ({**STAGED, "__asgi_app_hook_failed": {"failed": True, "msg": "no space"}}, {}, ("failed", "no space")),
        (
            {**STAGED, "ansible_failed_result": {"msg": "drained too late"}},
            {"failed": True},
            ("failed", "drained too late"),
        ),
        # The result of a task that a rescue has handled.
        ({**STAGED, "ansible_failed_result": {"msg": "drained too late"}}, {}, ("unchanged", None)),
        (STAGED, {"failed": True}, ("failed", "the run stopped; its output contains the reason")),
        ({"asgi_app_release": {"unreachable": True, "msg": "timed out"}}, {}, ("unreachable", None)),
        (DEPLOYED, {"unreachable": True}, ("unreachable", None)),
        (
            DEPLOYED,
            {"site": {"verdict": "failed", "causes": ["nginx is stopped"]}},
            ("failed", "the site does not answer from its live slot; nginx is stopped"),
        ),
        (DEPLOYED, {"site": {"verdict": "ok"}}, ("succeeded", None)),
    ],
)
def test_the_result_of_a_host(variables, options, expected):
    found = notification("deploy", "shop", {"web1": host(variables, **options), "web2": host(DEPLOYED)})

    assert results(found) == [expected, ("succeeded", None)]
    assert (found["result"] == "failed") == (expected[0] not in ("succeeded", "unchanged"))


def test_a_failed_deploy():
    hosts = {
        "web1": host({**DEPLOYED, "__asgi_fleet_restored": {"marker": marker("restore")}}),
        "web2": host({**STAGED, "__asgi_server_live": {"marker": BROKEN}}, failed=True),
        "web3": host(STAGED),
    }
    found = notification("deploy", "shop", hosts, stopped=True)

    assert found["text"] == (
        "deploy of shop failed; src-1 -> src-2; hosts: 1 restored, 1 failed, 1 unchanged; GET /health answered HTTP 500"
    )
    assert (found["result"], found["reason"]) == ("failed", BROKEN["reason"])


def test_a_stopped_run_is_a_failure_of_apps_that_it_has_not_changed():
    found = notification("deploy", "shop", {"web1": host(STAGED)}, stopped=True)

    assert (found["result"], found["reason"]) == ("failed", "the run stopped; its output contains the reason")
    assert found["duration_seconds"] is None


def test_a_reload_names_the_release_once():
    same = marker("reload", to="src-1")
    found = notification("reload", "shop", {"web1": host({"__asgi_fleet_changed": {"marker": same}}, "reload")})
    assert found["text"] == "reload of shop succeeded; src-1; hosts: 1 succeeded"
