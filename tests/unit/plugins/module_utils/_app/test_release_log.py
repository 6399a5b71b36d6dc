"""The release log determines the target of a rollback."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import (
    LIMIT,
    NoSuchRelease,
    Pair,
    history,
    is_rolled_back,
    rollback_target,
    with_bad,
    with_live,
    withdrawn,
)


def log_of(*activations):
    """Return the log of these activations; a trailing ! marks a failed one."""
    log = []
    for text in activations:
        release, config = text.rstrip("!").split("/")
        entry = {"release": release, "config": config, "slot": "blue", "at": "", "by": ""}
        log = with_bad(log, entry, "no") if text.endswith("!") else with_live(log, entry)
    return log


def on_disk(_pair):
    return True


def test_only_the_newest_successful_activation_is_live():
    log = log_of("r1/c1", "r2/c1", "r3/c1!")

    assert [entry["result"] for entry in log] == ["retired", "live", "bad"]
    assert log[-1]["reason"] == "no"


def test_the_log_is_bounded():
    assert len(log_of(*[f"r{number}/c" for number in range(LIMIT + 20)])) == LIMIT


@pytest.mark.parametrize(
    ("activations", "live", "requested", "target"),
    [
        (["r1/c1", "r2/c1"], "r2/c1", None, "r1/c1"),
        (["r1/c1", "r1/c2"], "r1/c2", None, "r1/c1"),  # the same release with its previous configuration
        (["r1/c1", "r2/c1", "r3/c1"], "r3/c1", "r1", "r1/c1"),
        (["r1/c1", "r2/c1!", "r3/c1"], "r3/c1", None, "r1/c1"),  # a failed release is not a target
        (["r1/c1", "r2/c1", "r1/c1"], "r1/c1", None, "r2/c1"),  # a second rollback undoes the first
        (["r1/c1", "r2/c1!", "r2/c1", "r3/c1"], "r3/c1", None, "r2/c1"),  # a release that failed at first
        (["r1/c1", "r1/c2", "r2/c2"], "r2/c2", "r1", "r1/c2"),  # a release returns with its latest configuration
    ],
)
def test_the_target_of_a_rollback(activations, live, requested, target):
    found = rollback_target(log_of(*activations), Pair(*live.split("/")), on_disk, requested)

    assert found == Pair(*target.split("/"))


@pytest.mark.parametrize(
    ("history", "live", "requested", "message"),
    [
        (["r1/c1"], "r1/c1", None, "nothing to roll back to: there is no other good release"),
        (["r1/c1", "r2/c1"], "r2/c1", "r9", "r9 was not activated here, or was removed; available: r1"),
        (["r1/c1", "r2/c1"], "r2/c1", "r2", "r2 is live already; available: r1"),
        (["r1/c1", "r2/c1!"], "r1/c1", "r2", "r2 failed when it was last activated"),
    ],
)
def test_a_rollback_without_a_target_fails(history, live, requested, message):
    with pytest.raises(NoSuchRelease, match=message):
        rollback_target(log_of(*history), Pair(*live.split("/")), on_disk, requested)


@pytest.mark.parametrize(
    ("config", "target"),
    [("c1", Pair("r1", "c1")), ("c2", Pair("r1", "c2")), (None, Pair("r1", "c2"))],
)
def test_a_rollback_to_a_configuration(config, target):
    log = log_of("r1/c1", "r1/c2", "r2/c2")

    assert rollback_target(log, Pair("r2", "c2"), on_disk, "r1", config=config) == target


def test_a_rollback_can_change_only_the_configuration():
    log = log_of("r1/c1", "r1/c2")

    assert not is_rolled_back(log, Pair("r1", "c2"), "r1", "c1")
    assert is_rolled_back(log, Pair("r1", "c2"), "r1", "c2")
    assert rollback_target(log, Pair("r1", "c2"), on_disk, "r1", config="c1") == Pair("r1", "c1")


def test_a_removed_configuration_is_rejected():
    with pytest.raises(
        NoSuchRelease, match="r1 with configuration c9 is not available here as a good one; available: r1"
    ):
        rollback_target(log_of("r1/c1", "r2/c1"), Pair("r2", "c1"), on_disk, "r1", config="c9")


def test_a_bad_release_needs_allow_bad():
    found = rollback_target(log_of("r1/c1", "r2/c1!"), Pair("r1", "c1"), on_disk, "r2", allow_bad=True)

    assert found == Pair("r2", "c1")


def test_a_removed_release_is_not_a_candidate():
    log = log_of("r1/c1", "r2/c1", "r3/c1")

    assert rollback_target(log, Pair("r3", "c1"), lambda pair: pair.release != "r2") == Pair("r1", "c1")


def test_a_withdrawn_release_must_be_named():
    log = with_live(withdrawn(log_of("r1/c1", "r2/c1", "r3/c1")), {"release": "r2", "config": "c1", "rollback": True})

    assert rollback_target(log, Pair("r2", "c1"), on_disk) == Pair("r1", "c1")
    assert rollback_target(log, Pair("r2", "c1"), on_disk, "r3") == Pair("r3", "c1")


@pytest.mark.parametrize(
    ("live", "release", "done"),
    [
        (Pair("r1", "c1"), None, True),  # a run over many hosts may be repeated
        (Pair("r1", "c1"), "r1", True),
        (Pair("r1", "c1"), "r0", False),
        (Pair("r2", "c1"), None, False),  # another release is live again
        (None, None, False),
    ],
)
def test_a_repeated_rollback_is_detected(live, release, done):
    log = with_live(withdrawn(log_of("r0/c1", "r1/c1", "r2/c1")), {"release": "r1", "config": "c1", "rollback": True})

    assert is_rolled_back(log, live, release) is done


@pytest.mark.parametrize(
    ("activations", "live", "targets"),
    [
        ([], None, []),
        (["r1/c1"], "r1/c1", [None]),
        (["r1/c1", "r2/c1", "r3/c1"], "r3/c1", [None, "default", "release"]),
        (["r1/c1", "r2/c1!", "r3/c1"], "r3/c1", [None, "allow-bad", "default"]),
        # only the last activation of a pair, and the latest configuration of a release
        (["r1/c1", "r2/c1", "r1/c1"], "r1/c1", [None, "default", None]),
        (["r1/c1", "r1/c2", "r2/c2", "r3/c3"], "r3/c3", [None, "default", "release", None]),
    ],
)
def test_the_history_shows_what_a_rollback_can_activate(activations, live, targets):
    found = history(log_of(*activations), Pair(*live.split("/")) if live else None, on_disk)
    assert [entry["rollback_target"] for entry in found] == targets
    assert [f"{entry['release']}/{entry['config']}" for entry in found] == [
        text.rstrip("!") for text in reversed(activations)
    ]


def test_the_history_names_no_removed_release_as_a_target():
    found = history(log_of("r1/c1", "r2/c1"), Pair("r2", "c1"), lambda pair: False)
    assert [entry["rollback_target"] for entry in found] == [None, None]


@pytest.mark.parametrize(("live", "done"), [("r1", False), ("r0", True)])
def test_a_rollback_that_was_interrupted_before_or_after_the_switch_is_detected(live, done):
    assert is_rolled_back(withdrawn(log_of("r0/c1", "r1/c1")), Pair(live, "c1"), None) is done
