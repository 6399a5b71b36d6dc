"""Outcomes of a failed deploy, and rollback targets."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.deploy import (
    Rollback,
    deploy_rows,
    deploy_summary,
    host_result,
    planned_rollbacks,
    rollback_conflicts,
)

OLD, NEW = {"release": "src-1", "config": "c1"}, {"release": "src-2", "config": "c1"}


def app_info(pair, state="active"):
    return {"apps": [{**pair, "slot": "blue", "state": state, "since": "Sat 2026-11-21 00:46:28 UTC"}]}


def variables(before="old", after=None, restored=None, target=None, error=None):
    """Return the variables that deploy.yml registers for a host; by default the old release is live throughout."""
    before = OLD if before == "old" else before
    after = after or OLD
    found = {
        "asgi_app_release": {"release": "src-2", "serving": before},
        "__asgi_deploy_after_batches": app_info(after),
    }
    if restored:
        found["__asgi_deploy_after_restore"] = app_info(restored)
    if target:
        found["__asgi_server_live"] = target
    if error:
        found["ansible_failed_result"] = {"msg": error}
    return found


NOTHING = {"release": None, "config": None}
CONFIGURED = {"release": "src-1", "config": "c2"}
FLEET = {
    # name: (variables, unreachable, failed, outcome, live release)
    "activated and rolled back": (variables(after=NEW, restored=OLD, target=NEW), False, False, "rolled back", "src-1"),
    "activated and kept": (variables(after=NEW, restored=NEW, target=NEW), False, False, "deployed", "src-2"),
    "activated, result of the task lost": (variables(after=NEW, restored=OLD), False, False, "rolled back", "src-1"),
    "only the configuration changed": (
        variables(after=CONFIGURED, restored=OLD, target=CONFIGURED),
        False,
        False,
        "rolled back",
        "src-1",
    ),
    "first release of the host": (variables(before=None, after=NEW, target=NEW), False, False, "deployed", "src-2"),
    "activated by an earlier run": (variables(NEW, NEW, target=NEW), False, False, "up to date", "src-2"),
    "batch not started": (variables(), False, False, "not touched", "src-1"),
    "first deploy, batch not started": (variables(before=None, after=NOTHING), False, False, "not touched", None),
    "release failed": (variables(error="no\ntraceback"), False, True, "failed", "src-1"),
    "second hook failed, rolled back": (
        variables(after=NEW, restored=OLD, target=NEW, error="hook"),
        False,
        True,
        "failed",
        "src-1",
    ),
    "unreachable host": (variables(error="from an earlier task"), True, False, "unreachable", None),
    "query failed": (
        {"asgi_app_release": {"release": "src-2", "serving": OLD}},
        False,
        False,
        "unreachable",
        None,
    ),
    "unreachable from the start": ({}, True, False, "unreachable", None),
}


@pytest.mark.parametrize("case", FLEET)
def test_outcome_and_live_release_of_a_host(case):
    given, unreachable, failed, outcome, live = FLEET[case]
    result = host_result("web1", given, ["web1"] if unreachable else [], ["web1"] if failed else [])
    [row] = deploy_rows([result])
    assert (row["outcome"], row["release"]) == (outcome, live)


def test_summary_lists_hosts_and_errors():
    results = [
        host_result("web1", FLEET["activated and rolled back"][0], ["web4"], ["web2"]),
        host_result("web2", FLEET["release failed"][0], ["web4"], ["web2"]),
        host_result("web3", FLEET["batch not started"][0], ["web4"], ["web2"]),
        host_result("web4", FLEET["unreachable host"][0], ["web4"], ["web2"]),
    ]

    text = deploy_summary(deploy_rows(results), ["src-2"] * 4, stopped=True, max_failures=0)

    assert text.splitlines() == [
        "src-2 is not on every host: 2 of 4 failed; more than asgi_deploy_max_failures (0), so the deploy has stopped",
        "",
        "host  outcome      serves            slot  state   since",
        "web1  rolled back  src-1             blue  active  2026-11-21 00:46",
        "web2  failed       src-1             blue  active  2026-11-21 00:46",
        "web3  not touched  src-1             blue  active  2026-11-21 00:46",
        "web4  unreachable  ? (src-1 before)  -     -       -",
        "",
        "web2: no",
        "  traceback",
    ]


def test_summary_within_the_failure_limit():
    results = [
        host_result("web1", FLEET["activated and kept"][0], [], []),
        host_result("web2", variables(error="no"), [], ["web2"]),
    ]

    text = deploy_summary(deploy_rows(results), ["src-2", "src-2"], stopped=False, max_failures=1)

    assert text.startswith("src-2 is not on every host: 1 of 2 failed; the deploy has continued on the others\n")


@pytest.mark.parametrize(
    ("rollbacks", "expected"),
    [
        ({}, {}),
        ({"web1": "shop 2c 1c", "web2": "shop 2c 1c"}, {}),
        # after a deploy that stopped and was rolled back, the live release of web1 is the target of web2
        (
            {"web1": "shop 1c 1c", "web2": "shop 2c 1c", "web3": "shop 1c 0c"},
            {"shop": "web1 and web2 to src-1111111111, web3 to src-0000000000"},
        ),
        # web2 has built the same release a second time
        ({"web1": "shop 2c 1c", "web2": "shop 2c 1c.2"}, {}),
        # apps are compared separately
        ({"web1": "shop 2c 1c", "web1-tiles": "tiles 1c 0c"}, {}),
        # an interrupted deploy of a configuration
        (
            {"web1": "shop 1c 1b", "web2": "shop 1b 1a"},
            {"shop": "web1 to src-1111111111 with b, web2 to src-1111111111 with a"},
        ),
        # an interrupted deploy of a configuration that was rolled back
        (
            {"web1": "shop 1b 1b", "web2": "shop 1b 1a", "web3": "shop 1b 1b"},
            {"shop": "web1 and web3 to src-1111111111 with b, web2 to src-1111111111 with a"},
        ),
        # an interrupted rollback is continued
        ({"web1": "shop 1b 1b", "web2": "shop 1c 1b"}, {}),
        # the configurations differ because one machine has more CPUs
        ({"web1": "shop 1c 1b", "web2": "shop 1z 1y"}, {}),
    ],
)
def test_rollback_conflicts(rollbacks, expected):
    def pair(text):
        place, dot, copy = text.partition(".")
        return f"src-{place[0] * 10}{dot}{copy}", place[1]

    split = {host: text.split() for host, text in rollbacks.items()}
    compared = {host: Rollback(app, pair(live), pair(target)) for host, (app, live, target) in split.items()}
    assert rollback_conflicts(compared) == expected


def test_host_without_a_plan_causes_no_conflict():
    def plan(release):
        return {"previous": "src-2222222222", "previous_config": "c", "release": release, "config": "b"}

    hostvars = {
        "web1": {"__asgi_rollback_plan": plan("src-1111111111")},
        "web2": {"__asgi_rollback_plan": {"failed": True, "msg": "there is none"}},
        "web3": {},
    }
    apps = dict.fromkeys(hostvars, "shop")
    assert rollback_conflicts(planned_rollbacks(apps, hostvars)) == {}
    hostvars["web2"]["__asgi_rollback_plan"] = plan("src-0000000000")
    assert rollback_conflicts(planned_rollbacks(apps, hostvars)) == {
        "shop": "web1 to src-1111111111, web2 to src-0000000000"
    }
