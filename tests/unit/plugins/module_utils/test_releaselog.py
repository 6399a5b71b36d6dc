"""The log decides whom a rollback goes to."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import (
    LIMIT,
    NoSuchRelease,
    Pair,
    is_rolled_back,
    rollback_target,
    with_bad,
    with_live,
    withdrawn,
)


def log_of(*activations):
    """Build a log as activate does; a name that ends in ! fails."""
    log = []
    for text in activations:
        release, config = text.rstrip("!").split("/")
        entry = {"release": release, "config": config, "slot": "blue", "at": "", "by": ""}
        log = with_bad(log, entry, "no") if text.endswith("!") else with_live(log, entry)
    return log


def on_disk(_pair):
    return True


def test_only_the_newest_success_is_live():
    log = log_of("r1/c1", "r2/c1", "r3/c1!")

    assert [entry["result"] for entry in log] == ["retired", "live", "bad"]
    assert log[-1]["reason"] == "no"


def test_the_log_is_bounded():
    assert len(log_of(*[f"r{number}/c" for number in range(LIMIT + 20)])) == LIMIT


@pytest.mark.parametrize(
    ("history", "live", "asked", "target"),
    [
        (["r1/c1", "r2/c1"], "r2/c1", None, "r1/c1"),
        (["r1/c1", "r1/c2"], "r1/c2", None, "r1/c1"),  # the same code with its former configuration
        (["r1/c1", "r2/c1", "r3/c1"], "r3/c1", "r1", "r1/c1"),
        (["r1/c1", "r2/c1!", "r3/c1"], "r3/c1", None, "r1/c1"),  # never to a bad one
        (["r1/c1", "r2/c1", "r1/c1"], "r1/c1", None, "r2/c1"),  # after a rollback: back again
        (["r1/c1", "r2/c1!", "r2/c1", "r3/c1"], "r3/c1", None, "r2/c1"),  # bad once, good later
        (["r1/c1", "r1/c2", "r2/c2"], "r2/c2", "r1", "r1/c2"),  # with the configuration it last ran with
    ],
)
def test_where_a_rollback_goes(history, live, asked, target):
    found = rollback_target(log_of(*history), Pair(*live.split("/")), on_disk, asked)

    assert found == Pair(*target.split("/"))


@pytest.mark.parametrize(
    ("history", "live", "asked", "message"),
    [
        (["r1/c1"], "r1/c1", None, "nothing to roll back to: there is no other good release"),
        (["r1/c1", "r2/c1"], "r2/c1", "r9", "r9 is not among .*; available: r1"),
        (["r1/c1", "r2/c1"], "r2/c1", "r2", "r2 is live already; available: r1"),
        (["r1/c1", "r2/c1!"], "r1/c1", "r2", "r2 failed when it was last activated"),
    ],
)
def test_where_it_does_not(history, live, asked, message):
    with pytest.raises(NoSuchRelease, match=message):
        rollback_target(log_of(*history), Pair(*live.split("/")), on_disk, asked)


@pytest.mark.parametrize(
    ("config", "target"),
    [("c1", Pair("r1", "c1")), ("c2", Pair("r1", "c2")), (None, Pair("r1", "c2"))],
)
def test_the_configuration_can_be_named(config, target):
    log = log_of("r1/c1", "r1/c2", "r2/c2")

    assert rollback_target(log, Pair("r2", "c2"), on_disk, "r1", config=config) == target


def test_the_same_release_with_another_configuration():
    log = log_of("r1/c1", "r1/c2")

    assert not is_rolled_back(log, Pair("r1", "c2"), "r1", "c1")
    assert is_rolled_back(log, Pair("r1", "c2"), "r1", "c2")
    assert rollback_target(log, Pair("r1", "c2"), on_disk, "r1", config="c1") == Pair("r1", "c1")


def test_a_configuration_that_is_not_kept():
    with pytest.raises(NoSuchRelease, match="r1 with configuration c9 is not kept here as a good one; available: r1"):
        rollback_target(log_of("r1/c1", "r2/c1"), Pair("r2", "c1"), on_disk, "r1", config="c9")


def test_a_bad_one_on_request():
    found = rollback_target(log_of("r1/c1", "r2/c1!"), Pair("r1", "c1"), on_disk, "r2", allow_bad=True)

    assert found == Pair("r2", "c1")


def test_what_was_pruned_is_no_candidate():
    log = log_of("r1/c1", "r2/c1", "r3/c1")

    assert rollback_target(log, Pair("r3", "c1"), lambda pair: pair.release != "r2") == Pair("r1", "c1")


def test_what_was_rolled_back_from_is_gone_to_only_by_name():
    log = with_live(withdrawn(log_of("r1/c1", "r2/c1", "r3/c1")), {"release": "r2", "config": "c1", "rollback": True})

    assert rollback_target(log, Pair("r2", "c1"), on_disk) == Pair("r1", "c1")
    assert rollback_target(log, Pair("r2", "c1"), on_disk, "r3") == Pair("r3", "c1")


@pytest.mark.parametrize(
    ("live", "release", "done"),
    [
        (Pair("r1", "c1"), None, True),  # the rollback has been: a run over many hosts may be repeated
        (Pair("r1", "c1"), "r1", True),
        (Pair("r1", "c1"), "r0", False),
        (Pair("r2", "c1"), None, False),  # something else is live by now
        (None, None, False),
    ],
)
def test_a_rollback_that_has_been(live, release, done):
    log = with_live(withdrawn(log_of("r0/c1", "r1/c1", "r2/c1")), {"release": "r1", "config": "c1", "rollback": True})

    assert is_rolled_back(log, live, release) is done
