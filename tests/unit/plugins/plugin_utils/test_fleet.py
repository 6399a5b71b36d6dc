"""Batches, and what is told when not all hosts came through."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.filter import rollback_split as rollback_split_filter
from ansible_collections.asgi.deploy.plugins.plugin_utils.fleet import (
    Way,
    batches,
    deploy_rows,
    deploy_summary,
    host_facts,
    rollback_split,
)

HOSTS = [f"web{number}" for number in range(1, 11)]


@pytest.mark.parametrize(
    ("hosts", "sizes", "expected"),
    [
        (10, [1, "25%", "100%"], [1, 2, 7]),
        (4, [1, "25%", "100%"], [1, 1, 2]),
        (1, [1, "25%", "100%"], [1]),
        (2, [1, "25%", "100%"], [1, 1]),
        (10, 3, [3, 3, 3, 1]),  # the last size goes on
        (10, [2, 3], [2, 3, 3, 2]),
        (10, "50%", [5, 5]),
        (10, "1%", [1] * 10),  # never nobody
        (10, 99, [10]),
        (10, "1, 25%, 100%", [1, 2, 7]),  # -e asgi_deploy_batches=1,25%,100%
        (10, "4", [4, 4, 2]),
        (0, [1], []),
    ],
)
def test_batches(hosts, sizes, expected):
    found = batches(HOSTS[:hosts], sizes)
    assert [len(batch) for batch in found] == expected
    assert [host for batch in found for host in batch] == HOSTS[:hosts]


@pytest.mark.parametrize("sizes", [0, -1, "0", "0%", "101%", "half", "", [], True, None, 1.5, [1, "x"], {"a": 1}])
def test_sizes_that_are_none(sizes):
    with pytest.raises(ValueError, match="give"):
        batches(HOSTS, sizes)


OLD, NEW = {"release": "src-1", "config": "c1"}, {"release": "src-2", "config": "c1"}


def answer(pair, state="active"):
    return {"apps": [{**pair, "slot": "blue", "state": state, "since": "Sat 2026-11-21 00:46:28 UTC"}]}


def variables(before="old", after=None, restored=None, target=None, said=None):
    """Return what deploy.yml leaves of a host; by default the old release served before and serves still."""
    before = OLD if before == "old" else before
    after = after or OLD
    found = {"asgi_app_release": {"release": "src-2", "serving": before}, "__asgi_deploy_after": answer(after)}
    if restored:
        found["__asgi_deploy_restored"] = answer(restored)
    if target:
        found["__asgi_server_live"] = target
    if said:
        found["ansible_failed_result"] = {"msg": said}
    return found


NOTHING = {"release": None, "config": None}
CONFIGURED = {"release": "src-1", "config": "c2"}
FLEET = {
    # name: (variables, lost, failed, outcome, what serves)
    "activated and put back": (variables(after=NEW, restored=OLD, target=NEW), False, False, "rolled back", "src-1"),
    "activated and left": (variables(after=NEW, restored=NEW, target=NEW), False, False, "deployed", "src-2"),
    "activated, task's answer lost": (variables(after=NEW, restored=OLD), False, False, "rolled back", "src-1"),
    "only the configuration changed": (
        variables(after=CONFIGURED, restored=OLD, target=CONFIGURED),
        False,
        False,
        "rolled back",
        "src-1",
    ),
    "first release of the host": (variables(before=None, after=NEW, target=NEW), False, False, "deployed", "src-2"),
    "had it from an earlier run": (variables(NEW, NEW, target=NEW), False, False, "had it already", "src-2"),
    "batch that never came": (variables(), False, False, "not touched", "src-1"),
    "empty host never reached": (variables(before=None, after=NOTHING), False, False, "not touched", None),
    "release failed": (variables(said="no\ntraceback"), False, True, "failed", "src-1"),
    "hook after it failed, put back": (
        variables(after=NEW, restored=OLD, target=NEW, said="hook"),
        False,
        True,
        "failed",
        "src-1",
    ),
    "dead": (variables(said="from an earlier task"), True, False, "unreachable", None),
    "does not answer any more": (
        {"asgi_app_release": {"release": "src-2", "serving": OLD}},
        False,
        False,
        "unreachable",
        None,
    ),
    "no variables at all": ({}, True, False, "unreachable", None),
}


@pytest.mark.parametrize("case", FLEET)
def test_what_became_of_a_host(case):
    given, lost, failed, outcome, serves = FLEET[case]
    facts = host_facts("web1", given, ["web1"] if lost else [], ["web1"] if failed else [])
    [row] = deploy_rows([facts])
    assert (row["outcome"], row["release"]) == (outcome, serves)


def test_the_summary_tells_of_each_host_and_of_the_reasons():
    facts = [
        host_facts("web1", FLEET["activated and put back"][0], ["web4"], ["web2"]),
        host_facts("web2", FLEET["release failed"][0], ["web4"], ["web2"]),
        host_facts("web3", FLEET["batch that never came"][0], ["web4"], ["web2"]),
        host_facts("web4", FLEET["dead"][0], ["web4"], ["web2"]),
    ]

    text = deploy_summary(deploy_rows(facts), ["src-2"] * 4, stopped=True, most=0)

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


def test_the_summary_of_one_that_went_on():
    facts = [
        host_facts("web1", FLEET["activated and left"][0], [], []),
        host_facts("web2", variables(said="no"), [], ["web2"]),
    ]

    text = deploy_summary(deploy_rows(facts), ["src-2", "src-2"], stopped=False, most=1)

    assert text.startswith("src-2 is not on every host: 1 of 2 failed; the others went on\n")


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ({}, ""),
        ({"web1": "shop 2c 1c", "web2": "shop 2c 1c"}, ""),
        # as a deploy leaves them that has stopped and was taken back: web1 is where web2 would go on from
        (
            {"web1": "shop 1c 1c", "web2": "shop 2c 1c", "web3": "shop 1c 0c"},
            "shop: web1 and web2 to src-1111111111, web3 to src-0000000000",
        ),
        # built a second time on one host, as something was amiss with the first
        ({"web1": "shop 2c 1c", "web2": "shop 2c 1c.2"}, ""),
        # another app is another matter
        ({"web1": "shop 2c 1c", "web1-tiles": "tiles 1c 0c"}, ""),
        # a deploy that only changes the configuration and was broken off
        (
            {"web1": "shop 1c 1b", "web2": "shop 1b 1a"},
            "shop: web1 to src-1111111111 with b, web2 to src-1111111111 with a",
        ),
        # ... and one that was taken back
        (
            {"web1": "shop 1b 1b", "web2": "shop 1b 1a", "web3": "shop 1b 1b"},
            "shop: web1 and web3 to src-1111111111 with b, web2 to src-1111111111 with a",
        ),
        # a rollback that was broken off goes on
        ({"web1": "shop 1b 1b", "web2": "shop 1c 1b"}, ""),
        # one machine has more CPUs
        ({"web1": "shop 1c 1b", "web2": "shop 1z 1y"}, ""),
    ],
)
def test_rollback_split(ways, expected):
    def pair(text):
        place, dot, copy = text.partition(".")
        return f"src-{place[0] * 10}{dot}{copy}", place[1]

    found = {host: way.split() for host, way in ways.items()}
    assert rollback_split({host: Way(app, pair(old), pair(new)) for host, (app, old, new) in found.items()}) == expected


def test_a_host_that_has_not_answered_splits_nothing():
    def plan(release):
        return {"previous": "src-2222222222", "previous_config": "c", "release": release, "config": "b"}

    hostvars = {
        "web1": {"asgi_name": "shop", "__asgi_deploy_rollback_plan": plan("src-1111111111")},
        "web2": {"asgi_name": "shop", "__asgi_deploy_rollback_plan": {"failed": True, "msg": "there is none"}},
        "web3": {"asgi_name": "shop"},
    }
    split = rollback_split_filter.FilterModule().filters()["rollback_split"]
    assert split(list(hostvars), hostvars) == ""
    hostvars["web2"]["__asgi_deploy_rollback_plan"] = plan("src-0000000000")
    assert split(list(hostvars), hostvars) == "shop: web1 to src-1111111111, web2 to src-0000000000"
